//! What one site gives.

use histone_program_sdk::config::Config;
use histone_program_sdk::data::Data;
use histone_program_sdk::refusal::Refusal;

use crate::groups::Groups;
use crate::shape::Shape;
use crate::site::{each_block, people, weights, write, write_halves};

/// All numbers of a round about the variants from place `first` on.
pub(crate) fn numbers(
    config: &Config,
    shape: &Shape,
    first: usize,
    data: &dyn Data,
) -> Result<Vec<f64>, Refusal> {
    let mut numbers = vec![0.0; shape.numbers()];
    let rows = people(config, data)?;
    let groups = Groups::of(config, shape, &rows)?;
    if groups.too_small() {
        return Ok(numbers);
    }
    let people = weights(shape, &rows)?;
    let all = people.products();
    let (head, rest) = numbers.split_at_mut(shape.head());
    write_halves(&all, head);
    each_block(shape, first, data, rest, |block, to| {
        let sums = people.sums_of(block).ok_or(Refusal::Malformed)?;
        let untold = groups.tell_of_few(block)?;
        for (i, ((sums, to), untold)) in sums.iter().zip(to).zip(untold).enumerate() {
            let Some(to) = to else { continue };
            let (products, missing) = to.split_at_mut(shape.columns + 2);
            if untold {
                // As if nobody had a call.
                write_halves(&all, missing);
                continue;
            }
            let lacking = match sums.counts[2] {
                0 => vec![0; all.len()],
                _ => people.products_of_missing(block.of(i)),
            };
            write(&sums.products, products);
            products[shape.columns] = sums.squares() as f64;
            products[shape.columns + 1] = f64::from(u8::from(all[0] > lacking[0]));
            write_halves(&lacking, missing);
        }
        Ok(())
    })?;
    Ok(numbers)
}
