//! The entries of methods and answers as functions of bytes: what the exports of a module call, and what tests call natively.

use crate::data::Data;
use crate::method::{Answer, Method, Opened};
use crate::model::Model;
use crate::refusal::Refusal;
use crate::wire::{Reader, Wire, decode_vector, encode_vector};

/// `agenda`: a configuration becomes the stages of a training, a list of [`crate::method::Stage`].
pub fn agenda<M: Method>(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(M::agenda(&Wire::from_bytes(input)?)?.to_bytes())
}

/// `begin`: a configuration becomes a state.
pub fn begin<M: Method>(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(M::begin(Wire::from_bytes(input)?)?.to_bytes())
}

/// `next`: a state becomes a [`crate::method::Next`].
pub fn next<M: Method>(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(M::next(&M::State::from_bytes(input)?)?.to_bytes())
}

/// The input of [`advance`].
pub fn advance_input(state: &[u8], opened: &Opened) -> Vec<u8> {
    let mut w = crate::wire::Writer::default();
    w.bytes(state);
    opened.write(&mut w);
    w.0
}

/// `advance`: a state and a sum become a state.
pub fn advance<M: Method>(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut r = Reader::new(input);
    let state = M::State::from_bytes(r.bytes()?)?;
    let opened = Opened::read(&mut r)?;
    r.end()?;
    Ok(M::advance(state, opened)?.to_bytes())
}

/// `site`: a question and the rows become numbers.
pub fn site<M: Method>(question: &[u8], data: &dyn Data) -> Result<Vec<u8>, Refusal> {
    Ok(encode_vector(&M::site(M::Question::from_bytes(question)?, data)?))
}

/// `report`: a model and the rows become fields.
pub fn report<M: Method>(model: &[u8], data: &dyn Data) -> Result<Vec<u8>, Refusal> {
    Ok(encode_vector(&M::report(&Model::from_bytes(model)?, data)?))
}

/// `answer`: a model and a row become fields.
pub fn answer<A: Answer>(model: &[u8], row: &[u8]) -> Result<Vec<u8>, Refusal> {
    let model = Model::from_bytes(model)?;
    let row = decode_vector(row)?;
    if row.len() != model.config.features.len() || row.iter().any(|v| v.is_infinite()) {
        return Err(Refusal::Malformed);
    }
    Ok(encode_vector(&A::answer(&model, &row)?))
}

/// Makes a type the method of a module: exports its six entries, and puts its manifest, which is a file beside the source,
/// where the host reads it without running anything. Elsewhere than on wasm32 it only checks the type.
///
/// `method!(Linear, "../manifest.json");`
#[macro_export]
macro_rules! method {
    ($method:ty, $manifest:literal) => {
        /// The manifest, as the host reads it.
        pub const MANIFEST: &str = include_str!($manifest);

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        mod exports {
            use super::*;

            const BYTES: &[u8] = include_bytes!($manifest);

            // Safety: a custom section that is only read by the host.
            #[used]
            #[unsafe(link_section = "histone.manifest")]
            static SECTION: [u8; BYTES.len()] = {
                let mut bytes = [0; BYTES.len()];
                bytes.copy_from_slice(BYTES);
                bytes
            };

            // Safety: each symbol is the only export of its name in a module that holds one program.
            #[unsafe(no_mangle)]
            extern "C" fn agenda() {
                $crate::guest::run($crate::entries::agenda::<$method>)
            }

            #[unsafe(no_mangle)]
            extern "C" fn begin() {
                $crate::guest::run($crate::entries::begin::<$method>)
            }

            #[unsafe(no_mangle)]
            extern "C" fn next() {
                $crate::guest::run($crate::entries::next::<$method>)
            }

            #[unsafe(no_mangle)]
            extern "C" fn advance() {
                $crate::guest::run($crate::entries::advance::<$method>)
            }

            #[unsafe(no_mangle)]
            extern "C" fn site() {
                $crate::guest::run_beside_data($crate::entries::site::<$method>)
            }

            #[unsafe(no_mangle)]
            extern "C" fn report() {
                $crate::guest::run_beside_data($crate::entries::report::<$method>)
            }
        }

        const _: fn(&[u8]) -> Result<Vec<u8>, $crate::refusal::Refusal> = $crate::entries::begin::<$method>;
    };
}

/// Makes a type the answer of a module, which applies the models of one method.
#[macro_export]
macro_rules! answer {
    ($answer:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        mod exports {
            use super::*;

            // Safety: the symbol is the only export of this name in a module that holds one program.
            #[unsafe(no_mangle)]
            extern "C" fn answer() {
                $crate::guest::run_beside_row($crate::entries::answer::<$answer>)
            }
        }

        const _: fn(&[u8], &[u8]) -> Result<Vec<u8>, $crate::refusal::Refusal> =
            $crate::entries::answer::<$answer>;
    };
}
