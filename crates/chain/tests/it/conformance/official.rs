//! The official cases of ethereum/execution-apis (`tests/<method>/<case>.io`, drafts included) and what became of
//! them: by name where we serve the method, by method where we do not. The official answers are those of one recorded
//! chain, which this node cannot import; so each case that applies is made again on a chain of our own and asked for
//! the same property. No official content is copied.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;

use super::world::World;
use super::{Case, blocks, calls, logs, sending, state, transactions};
use crate::support::*;

enum Verdict {
    /// Made again on our chain, in this file.
    In(&'static str),
    /// Does not apply, for this reason.
    Not(&'static str),
}
use Verdict::{In, Not};

const FORKS: Verdict = Not("all forks up to Prague are active from block 0");
const BLOBS: Verdict = Not("no blobs");
const REQUESTS: Verdict = Not("no deposits or withdrawals, so no requests");
const STRAY: Verdict = Not("a draft's stray copy of another case");

/// The cases of the methods that we serve.
const OFFICIAL: &[(&str, &[(&str, Verdict)])] = &[
    ("eth_blobBaseFee", &[("get-current-blobfee", In("blocks"))]),
    ("eth_blockNumber", &[("simple-test", In("blocks"))]),
    (
        "eth_call",
        &[
            ("call-blob-fee-without-hashes", In("calls")),
            ("call-block-hash-object", In("calls")),
            ("call-callenv", In("calls")),
            ("call-callenv-options-eip1559", In("calls")),
            ("call-contract", In("calls")),
            ("call-eip7702-delegation", In("calls")),
            ("call-fork-inactive-access-list", FORKS),
            ("call-fork-inactive-authorization-list", FORKS),
            ("call-fork-inactive-blob-fee", FORKS),
            ("call-fork-inactive-blob-hashes", FORKS),
            ("call-fork-inactive-fee-fields-zero", FORKS),
            ("call-fork-inactive-priority-fee", FORKS),
            ("call-gas-price-before-london", In("calls")),
            ("call-omitted-block", In("calls")),
            ("call-revert-abi-error", In("calls")),
            ("call-revert-abi-panic", In("calls")),
            ("call-simple-contract", In("calls")),
            ("call-simple-transfer", In("calls")),
            ("call-type-access-list-before-berlin", In("calls")),
            ("call-type-blob-before-cancun", In("calls")),
            ("call-type-legacy-with-access-list", In("calls")),
            ("call-type-legacy-with-fee-fields", In("calls")),
            ("call-type-set-code-before-prague", In("calls")),
            ("call-type-unknown", In("calls")),
            ("call-unfunded-sender", In("calls")),
        ],
    ),
    ("eth_chainId", &[("get-chain-id", In("blocks"))]),
    (
        "eth_estimateGas",
        &[
            ("estimate-blockhash", In("calls")),
            ("estimate-call-abi-error", In("calls")),
            ("estimate-eip7623-calldata-floor", In("calls")),
            ("estimate-eip7623-floor-with-authorization", In("calls")),
            ("estimate-failed-call", In("calls")),
            ("estimate-fork-inactive-access-list", FORKS),
            ("estimate-fork-inactive-blob-fee", FORKS),
            ("estimate-fork-inactive-fee-fields", FORKS),
            ("estimate-simple-contract", In("calls")),
            ("estimate-simple-transfer", In("calls")),
            ("estimate-successful-call", In("calls")),
            ("estimate-type-blob-before-cancun", In("calls")),
            ("estimate-unfunded-sender", In("calls")),
            ("estimate-with-eip4844", BLOBS),
            ("estimate-with-eip7702", In("calls")),
            ("eth_estimateGas/estimate-auth-cost-increases-gas", STRAY),
            ("eth_estimateGas/estimate-blob-tx", BLOBS),
            ("eth_estimateGas/estimate-calldata-and-auth-floor", STRAY),
            ("eth_estimateGas/estimate-floor-calldata-cost-dominates", STRAY),
            ("eth_estimateGas/estimate-successful-call", STRAY),
        ],
    ),
    ("eth_feeHistory", &[("fee-history", In("blocks"))]),
    ("eth_gasPrice", &[("get-current-gas-price", In("blocks"))]),
    (
        "eth_getBalance",
        &[
            ("get-balance", In("state")),
            ("get-balance-block-hash-object", In("state")),
            ("get-balance-block-hash-object-require-canonical", In("state")),
            ("get-balance-block-number-object", In("state")),
            ("get-balance-blockhash", In("state")),
            ("get-balance-default-block", In("state")),
            ("get-balance-unknown-account", In("state")),
        ],
    ),
    (
        "eth_getBlockByHash",
        &[
            ("get-block-by-empty-hash", In("blocks")),
            ("get-block-by-hash", In("blocks")),
            ("get-block-by-notfound-hash", In("blocks")),
        ],
    ),
    (
        "eth_getBlockByNumber",
        &[
            ("get-block-cancun-fork", In("blocks")),
            ("get-block-eip7685-requests", REQUESTS),
            ("get-block-london-fork", In("blocks")),
            ("get-block-merge-fork", In("blocks")),
            ("get-block-n", In("blocks")),
            ("get-block-n-hex", In("blocks")),
            ("get-block-n-number", Not("withdrawn: the specification wants a hex string, not a number")),
            ("get-block-notfound", In("blocks")),
            ("get-block-prague-fork", In("blocks")),
            ("get-block-shanghai-fork", In("blocks")),
            ("get-finalized", In("blocks")),
            ("get-genesis", In("blocks")),
            ("get-latest", In("blocks")),
            ("get-safe", In("blocks")),
        ],
    ),
    (
        "eth_getBlockReceipts",
        &[
            ("get-block-receipts-0", In("blocks")),
            ("get-block-receipts-by-hash", In("blocks")),
            ("get-block-receipts-earliest", In("blocks")),
            ("get-block-receipts-empty", In("blocks")),
            ("get-block-receipts-future", In("blocks")),
            ("get-block-receipts-latest", In("blocks")),
            ("get-block-receipts-n", In("blocks")),
            ("get-block-receipts-not-found", In("blocks")),
        ],
    ),
    ("eth_getBlockTransactionCountByHash", &[("get-block-n", In("blocks")), ("get-genesis", In("blocks"))]),
    ("eth_getBlockTransactionCountByNumber", &[("get-block-n", In("blocks")), ("get-genesis", In("blocks"))]),
    (
        "eth_getCode",
        &[
            ("get-code", In("state")),
            ("get-code-default-block", In("state")),
            ("get-code-eip7702-delegation", In("state")),
            ("get-code-unknown-account", In("state")),
        ],
    ),
    (
        "eth_getLogs",
        &[
            ("contract-addr", In("logs")),
            ("filter-error-fully-future-block-range", In("logs")),
            ("filter-error-future-block-range", In("logs")),
            ("filter-error-future-block-to-latest", In("logs")),
            ("filter-error-invalid-blockHash-and-range", In("logs")),
            ("filter-error-reversed-block-range", In("logs")),
            ("filter-with-blockHash", In("logs")),
            ("filter-with-blockHash-and-topics", In("logs")),
            ("no-topics", In("logs")),
            ("topic-exact-match", In("logs")),
            ("topic-null-wildcard", In("logs")),
            ("topic-wildcard", In("logs")),
        ],
    ),
    (
        "eth_getStorageAt",
        &[
            ("get-storage", In("state")),
            ("get-storage-default-block", In("state")),
            ("get-storage-invalid-key", In("state")),
            ("get-storage-invalid-key-too-large", In("state")),
            ("get-storage-unknown-account", In("state")),
        ],
    ),
    ("eth_getTransactionByBlockHashAndIndex", &[("get-block-n", In("transactions"))]),
    ("eth_getTransactionByBlockNumberAndIndex", &[("get-block-n", In("transactions"))]),
    (
        "eth_getTransactionByHash",
        &[
            ("get-access-list", In("transactions")),
            ("get-authlist-tx", In("transactions")),
            ("get-blob-tx", BLOBS),
            ("get-dynamic-fee", In("transactions")),
            ("get-empty-tx", In("transactions")),
            ("get-legacy-create", In("transactions")),
            ("get-legacy-input", In("transactions")),
            ("get-legacy-tx", In("transactions")),
            ("get-notfound-tx", In("transactions")),
            ("get-setcode-tx", In("transactions")),
        ],
    ),
    (
        "eth_getTransactionCount",
        &[
            ("get-account-nonce", In("state")),
            ("get-nonce", In("state")),
            ("get-nonce-default-block", In("state")),
            ("get-nonce-eip7702-account", In("state")),
            ("get-nonce-unknown-account", In("state")),
        ],
    ),
    (
        "eth_getTransactionReceipt",
        &[
            ("get-access-list", In("transactions")),
            ("get-auth-list", In("transactions")),
            ("get-blob-tx", BLOBS),
            ("get-dynamic-fee", In("transactions")),
            ("get-empty-tx", In("transactions")),
            ("get-legacy-contract", In("transactions")),
            ("get-legacy-input", In("transactions")),
            ("get-legacy-receipt", In("transactions")),
            ("get-notfound-tx", In("transactions")),
            ("get-setcode-tx", In("transactions")),
        ],
    ),
    ("eth_maxPriorityFeePerGas", &[("get-current-tip", In("blocks"))]),
    (
        "eth_sendRawTransaction",
        &[
            ("send-access-list-transaction", In("sending")),
            ("send-already-known", In("sending")),
            ("send-authorization-list-tx", In("sending")),
            ("send-blob-tx", BLOBS),
            ("send-dynamic-fee-access-list-transaction", In("sending")),
            ("send-dynamic-fee-transaction", In("sending")),
            ("send-insufficient-funds", In("sending")),
            ("send-intrinsic-gas-too-low", In("sending")),
            ("send-legacy-transaction", In("sending")),
            ("send-nonce-too-low", In("sending")),
            ("send-replacement-underpriced", In("sending")),
            ("send-setcode-tx", In("sending")),
            ("send-tip-above-fee-cap", In("sending")),
            ("send-tx-gas-exceeds-block-limit", In("sending")),
        ],
    ),
    ("eth_syncing", &[("check-syncing", In("blocks"))]),
    ("net_listening", &[("get-listening", In("blocks"))]),
    ("net_peerCount", &[("get-peer-count", In("blocks"))]),
    ("net_version", &[("get-network-id", In("blocks"))]),
];

/// Other methods with official cases, as far as a search of the public repository found them, and why none applies.
const NOT_SERVED: &[(&str, &str)] = &[
    ("address_getAppearances", "a draft; no index of addresses"),
    ("admin_capabilities", "a draft; the operator has the command line"),
    ("debug_executionWitness", "no state trie"),
    ("debug_getBadBlocks", "there are none: one sequencer, which executes first"),
    ("debug_getBlock", "early name of debug_getRawBlock"),
    ("debug_getBlockRLP", "early name of debug_getRawBlock"),
    ("debug_getBlockReceipts", "a draft for a later fork"),
    ("debug_getHeader", "early name of debug_getRawHeader"),
    ("debug_getHeaderRLP", "early name of debug_getRawHeader"),
    ("debug_getRawBlock", "sequencer_getBlock gives the raw parts, and the signature"),
    ("debug_getRawHeader", "sequencer_getBlock gives the raw parts, and the signature"),
    ("debug_getRawReceipts", "sequencer_getBlock gives the raw parts, and the signature"),
    ("debug_getRawTransaction", "sequencer_getBlock gives the raw parts, and the signature"),
    ("debug_getReceipts", "early name of debug_getRawReceipts"),
    ("debug_getReceiptsRaw", "early name of debug_getRawReceipts"),
    ("debug_getTransaction", "early name of debug_getRawTransaction"),
    ("debug_traceBlockByHash", "no traces; the state of the past is not kept"),
    ("debug_traceBlockByNumber", "no traces; the state of the past is not kept"),
    ("debug_traceCall", "no traces"),
    ("debug_traceTransaction", "no traces; the state of the past is not kept"),
    ("engine_forkchoiceUpdatedV4", "no consensus client: the sequencer makes the blocks"),
    ("eth_baseFee", "a draft; the base fee is zero and in every header"),
    ("eth_capabilities", "a draft"),
    ("eth_config", "for scheduled forks; none are"),
    ("eth_createAccessList", "not needed: gas costs nothing here"),
    ("eth_getBlockAccessList", "for a later fork"),
    ("eth_getBlockAccessListByBlockNumber", "for a later fork"),
    ("eth_getHeaderByNumber", "a draft; eth_getBlockByNumber has the header"),
    ("eth_getProof", "no state trie"),
    ("eth_getRawTransactionByHash", "a draft; sequencer_getBlock gives raw transactions"),
    ("eth_getStorage", "misspelled folder of eth_getStorageAt"),
    ("eth_getStorageValues", "a draft; eth_getStorageAt in a batch"),
    ("eth_getUncleByBlockNumberAndIndex", "no uncles; withdrawn officially as well"),
    ("eth_multicallV1", "early name of eth_simulateV1"),
    ("eth_simulateV1", "no overrides of state and block"),
    ("testing_buildBlockV1", "for tests of block builders"),
    ("txpool_content", "no pool: a block at once, or a queue in the order of arrival"),
    ("txpool_contentFrom", "no pool: a block at once, or a queue in the order of arrival"),
    ("txpool_status", "no pool: a block at once, or a queue in the order of arrival"),
];

const FILES: [(&str, &[Case]); 6] = [
    ("blocks", blocks::CASES),
    ("calls", calls::CASES),
    ("logs", logs::CASES),
    ("sending", sending::CASES),
    ("state", state::CASES),
    ("transactions", transactions::CASES),
];

#[test]
fn official_cases_hold() {
    let world = World::new();
    let mut failed = Vec::new();
    for (name, case) in FILES.iter().flat_map(|(_, cases)| *cases) {
        // All failures in one run; what each says is printed as it happens.
        if catch_unwind(AssertUnwindSafe(|| case(&world))).is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// `official_cases_hold` runs what is in [`FILES`]; here the same tables are compared with the list.
#[test]
fn the_list_names_every_case_once_and_what_it_calls_tested_is_run() {
    let mut listed = BTreeSet::new();
    let mut tested = BTreeSet::new();
    for (method, cases) in OFFICIAL {
        for (case, verdict) in *cases {
            let name = format!("{method}/{case}");
            assert!(listed.insert(name.clone()), "{name} is listed twice");
            match verdict {
                In(file) => assert!(tested.insert((name, *file))),
                Not(reason) => assert!(!reason.is_empty(), "{name}"),
            }
        }
    }
    let mut run = BTreeSet::new();
    for (file, cases) in FILES {
        for (name, _) in cases {
            assert!(run.insert(((*name).to_owned(), file)), "{name} is twice in {file}");
        }
    }
    assert_eq!(tested, run);
    assert_eq!((listed.len(), tested.len()), COUNT);
}

/// Cases of the methods that we serve: listed, tested. Written down so that the list cannot shrink unnoticed.
const COUNT: (usize, usize) = (153, 133);

#[test]
fn methods_called_not_served_do_not_exist_and_the_others_do() {
    let (chain, _dir) = fresh();
    let code = |method| chain.request(method, json!([])).err().map(|error| error.code);
    let mut seen = BTreeSet::new();
    for (method, reason) in NOT_SERVED {
        assert!(seen.insert(*method) && !reason.is_empty(), "{method} is listed twice");
        assert_eq!(code(method), Some(-32601), "{method}");
    }
    for (method, _) in OFFICIAL {
        assert!(seen.insert(*method), "{method} is listed twice");
        assert_ne!(code(method), Some(-32601), "{method}");
    }
}
