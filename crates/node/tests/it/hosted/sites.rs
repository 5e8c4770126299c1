//! A donor with whose rows the method fails.

use histone_enclave::engine::Engine;
use histone_enclave::method::HostedMethod;
use histone_enclave::program::Program;
use histone_genome::table::{Column, Table};
use histone_node::programs::{METHODS, Methods, PublishedProgram};
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::disclosure::Release;

use super::{says, used};
use crate::cast::Cast;
use crate::sealed::sealed_plan;

/// Steps of a call: enough for two dozen rows, and not for thousands.
const FUEL: u64 = 2_000_000;

/// The bundled method with so much fuel.
fn short_of_fuel() -> PublishedProgram {
    let mut wasm = METHODS[0][0].wasm.to_vec();
    let told = b"\"fuel\": 100000000000";
    let places: Vec<usize> = (0..wasm.len() - told.len()).filter(|&i| wasm[i..].starts_with(told)).collect();
    assert!(!places.is_empty());
    for at in places {
        // As many characters as before: no length in the module changes.
        let short = format!("\"fuel\": {FUEL:>12}");
        wasm[at..at + told.len()].copy_from_slice(short.as_bytes());
    }
    PublishedProgram { wasm: wasm.leak(), ..METHODS[0][0] }
}

/// The method uses up its fuel on the rows of one owner, in every stage. They count as none: the model is made of the rows of the
/// others, and nothing is said of it at that site.
#[tokio::test]
async fn a_site_for_which_the_method_fails_stops_nobody() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let value = |i: u32| f64::from(i * 7 % 23);
    let row = |i: u32| [value(i), value(i / 3), f64::from(i % 2)];
    let columns = vec![Column::number("a"), Column::number("b"), Column::no_yes("y")];
    let long = Table::new(columns, (0..8_000).flat_map(row).collect()).unwrap();
    cast.owners[2].update(long, &cast.validation, &world).await.unwrap();
    let program = short_of_fuel();
    let short = Engine::new().unwrap().load(Program::published(program.wasm).unwrap()).unwrap();
    cast.allow(&program, &short).await;
    let full = cast.loaded.method.clone();
    let short = HostedMethod::new(short).unwrap();
    cast.world.methods = Methods::of([full.clone(), short.clone()]);
    let world = cast.world.clone();

    let plan = sealed_plan(Release::Public);
    let mut models = Vec::new();
    for (method, owners) in [(&short, 2), (&short, 3), (&full, 3)] {
        cast.loaded.method = method.clone();
        let (paper, id) = cast.propose_hosted(&plan).await;
        let mut host = cast.host(id).await;
        for owner in 0..owners {
            cast.bring_to(owner, (paper, id), &mut host).await.unwrap();
        }
        cast.trainer.start(id, &world).await.unwrap();
        let said = cast.make(&mut host).await;
        assert_eq!(used(&said).len(), owners);
        assert_eq!(says(&said).destroyed.len(), owners);
        let (_, model, evaluations) = cast.sell(&mut host, &said).await;
        let spoke: Vec<u16> = cast.evaluated(&evaluations).iter().map(|e| e.donor).collect();
        models.push((Model::from_bytes(&world.blobs.get(model).unwrap()).unwrap(), spoke));
    }
    let [two, short, full] = models.try_into().unwrap();
    assert_eq!((&two.1, &short.1, &full.1), (&vec![1, 2], &vec![1, 2], &vec![1, 2, 3]));
    assert!(short.0.array("weights") == two.0.array("weights"), "as if of two");
    assert!(full.0.array("weights") != two.0.array("weights"), "its rows would count");
}
