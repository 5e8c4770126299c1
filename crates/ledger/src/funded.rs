//! The money side of a key release.

use alloy::primitives::{Address, U256};
use histone_contracts::{Contract, Enclaves, LedgerError, Market, Programs, model_state};

use crate::Ledger;

/// Proof that the ledger holds what a use of data owes to its owner. Made only by this crate; not `Clone`, so one look
/// at the ledger serves one use.
#[derive(Debug)]
pub struct Funded {
    basis: Basis,
}

/// Why nothing more needs to be paid in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The market holds the trainer's deposit for the instant payment of every donor of this model.
    Deposit {
        /// The ledger's number of the model.
        model_id: u64,
        /// Payment of one donor in millionths of a token.
        instant_payment: u64,
    },
    /// The enclave runs a validation program, for which the market has no fee.
    NothingOwed {
        /// Receipt key of the enclave.
        enclave: Address,
    },
}

impl Funded {
    /// What was found.
    pub fn basis(&self) -> Basis {
        self.basis
    }
}

/// Why there is no [`Funded`].
#[derive(Debug, thiserror::Error)]
pub enum NotFunded {
    /// The model does not recruit, so it holds no deposit for new donors.
    #[error("model {model_id} is in state {state}, not recruiting")]
    State {
        /// The model.
        model_id: u64,
        /// The market's state code.
        state: u8,
    },
    /// The market's balance is less than what it owes.
    #[error("the market holds {balance} and owes {obligations}: it cannot pay everybody")]
    Uncovered {
        /// Its balance.
        balance: U256,
        /// Its obligations.
        obligations: U256,
    },
    /// The terms on the ledger are not those of the white paper.
    #[error("the ledger's instant payment is {found}, the white paper says {stated}")]
    Terms {
        /// On the ledger.
        found: U256,
        /// In the white paper.
        stated: u64,
    },
    /// The enclave runs something else than a validation program.
    #[error("enclave {0} does not run a validation program")]
    NotValidation(Address),
    /// The ledger could not be asked.
    #[error("the ledger could not be asked")]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// Checks that a recruiting model has its donors' instant payments deposited, at least `stated` each.
    pub async fn funded_training(&self, model_id: u64, stated: u64) -> Result<Funded, NotFunded> {
        let model = self.read(Contract::Market, Market::modelCall { modelId: U256::from(model_id) }).await?;
        if model.state != model_state::RECRUITING {
            return Err(NotFunded::State { model_id, state: model.state });
        }
        let found = U256::from(model.terms.instantPayment);
        if found != U256::from(stated) {
            return Err(NotFunded::Terms { found, stated });
        }
        let obligations = self.read(Contract::Market, Market::obligationsCall {}).await?;
        let market = self.deployment().market;
        let balance = self
            .read(Contract::Token, histone_contracts::TestToken::balanceOfCall { account: market })
            .await?;
        if balance < obligations {
            return Err(NotFunded::Uncovered { balance, obligations });
        }
        Ok(Funded { basis: Basis::Deposit { model_id, instant_payment: stated } })
    }

    /// Checks that an enclave runs a validation program: the market has no fee for those.
    pub async fn funded_validation(&self, enclave: Address) -> Result<Funded, NotFunded> {
        let registered = self.read(Contract::Enclaves, Enclaves::enclaveCall { signer: enclave }).await?;
        let program = self
            .read(Contract::Programs, Programs::programCall { measurement: registered.measurement })
            .await?;
        if program.kind != histone_protocol::program::ProgramKind::Validation.code() {
            return Err(NotFunded::NotValidation(enclave));
        }
        Ok(Funded { basis: Basis::NothingOwed { enclave } })
    }
}
