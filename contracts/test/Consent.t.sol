// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignerP256} from "@openzeppelin/contracts/utils/cryptography/signers/SignerP256.sol";
import {SignerWebAuthn} from "@openzeppelin/contracts/utils/cryptography/signers/SignerWebAuthn.sol";
import {Base} from "./Base.sol";
import {Consent} from "../src/Consent.sol";
import {Datasets} from "../src/Datasets.sol";
import {Market} from "../src/Market.sol";
import {MarketLog} from "../src/MarketLog.sol";
import {DonorInfo} from "../src/MarketTypes.sol";
import {Roles} from "../src/Members.sol";
import {DonationConsent} from "../src/Receipts.sol";

/// What wallets have in common here: they make calls for whoever controls them, which plays no part in these tests.
abstract contract Wallet is IERC1271 {
    function act(address target, bytes calldata call) external {
        (bool ok, bytes memory answer) = target.call(call);
        if (ok) return;
        assembly {
            revert(add(answer, 0x20), mload(answer))
        }
    }
}

/// Two keys, both of which have to sign.
contract PairWallet is Wallet {
    address private immutable _a;
    address private immutable _b;

    constructor(address a, address b) {
        _a = a;
        _b = b;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (bytes memory one, bytes memory two) = abi.decode(signature, (bytes, bytes));
        bool ok = ECDSA.recover(hash, one) == _a && ECDSA.recover(hash, two) == _b;
        return ok ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// A passkey, as a browser makes it.
contract PasskeyWallet is Wallet, SignerWebAuthn {
    constructor(uint256 x, uint256 y) SignerP256(bytes32(x), bytes32(y)) {}

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        return _rawSignatureValidation(hash, signature) ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// Owners who sign and let somebody else send it: with a key, with two keys, with a passkey.
contract ConsentTest is Base {
    uint256 private constant KEY = 201;
    uint256 private constant SECOND_KEY = 202;
    uint256 private constant PASSKEY = 203;

    enum Kind {
        Key,
        Pair,
        Passkey
    }

    function owner(Kind kind) private returns (address account) {
        if (kind == Kind.Key) return vm.addr(KEY);
        if (kind == Kind.Pair) return address(new PairWallet(vm.addr(KEY), vm.addr(SECOND_KEY)));
        (uint256 x, uint256 y) = vm.publicKeyP256(PASSKEY);
        return address(new PasskeyWallet(x, y));
    }

    /// A signature by an owner of this kind; with `forged`, by somebody with another key.
    function consent(Kind kind, bytes32 hash, bool forged) private pure returns (bytes memory) {
        if (kind == Kind.Passkey) return assertion(forged ? PASSKEY + 1 : PASSKEY, hash);
        bytes memory one = plain(forged ? KEY + 5 : KEY, hash);
        return kind == Kind.Key ? one : abi.encode(one, plain(SECOND_KEY, hash));
    }

    function plain(uint256 key, bytes32 hash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }

    /// What an authenticator answers when a page asks it to sign `challenge`.
    function assertion(uint256 key, bytes32 challenge) private pure returns (bytes memory) {
        string memory client = string.concat(
            '{"type":"webauthn.get","challenge":"',
            Base64.encodeURL(abi.encodePacked(challenge)),
            '","origin":"https://histone.example","crossOrigin":false}'
        );
        // Hash of the site, user present and verified, counter.
        bytes memory data = abi.encodePacked(sha256("histone.example"), uint8(0x05), uint32(1));
        bytes32 signed = sha256(abi.encodePacked(data, sha256(bytes(client))));
        (bytes32 r, bytes32 s) = vm.signP256(key, signed);
        // Of the two forms of a signature the low one is accepted.
        uint256 n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
        if (uint256(s) > n / 2) s = bytes32(n - uint256(s));
        // The fields of `WebAuthn.WebAuthnAuth`, one after the other.
        return abi.encode(r, s, 23, 1, data, client);
    }

    function digest(address verifier, bytes32 structHash, uint256 chain) private pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Histone"),
                keccak256("1"),
                chain,
                verifier
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function withdrawal(bytes32 id, uint256 deadline) private pure returns (bytes32) {
        return keccak256(abi.encode(keccak256("WithdrawalConsent(bytes32 datasetId,uint256 deadline)"), id, deadline));
    }

    function donation(DonationConsent memory c) private pure returns (bytes32) {
        bytes32 typehash = keccak256(
            "DonationConsent(uint256 modelId,bytes32 datasetId,bytes32 root,address payee,bytes32 decision,address enclave,uint256 deadline)"
        );
        return keccak256(abi.encode(typehash, c));
    }

    /// Asked through a call, because the optimizer takes `block.chainid` for a constant.
    function chainNow() external view returns (uint256) {
        return block.chainid;
    }

    /// A dataset of such an owner. A wallet sends what it does, a key is played.
    function dataset(Kind kind) private returns (address account, bytes32 id) {
        account = owner(kind);
        members.add(account, Roles.OWNER, bytes32(uint256(kind) + 1), 0);
        bytes32 root = keccak256(abi.encode("root of", kind));
        bytes memory receipt = signValidation(VALIDATION_KEY, account, root);
        bytes memory call = abi.encodeCall(
            datasets.register,
            (root, keccak256("report"), keccak256("policy"), 100, 3, vm.addr(VALIDATION_KEY), receipt)
        );
        if (kind == Kind.Key) {
            vm.startPrank(account);
            (bool ok,) = address(datasets).call(call);
            vm.stopPrank();
            if (!ok) revert("register");
        } else {
            Wallet(account).act(address(datasets), call);
        }
        id = datasets.idOf(account, root);
    }

    function test_owners_of_every_kind_withdraw_by_signature() public {
        for (uint8 k = 0; k < 3; ++k) {
            withdraws(Kind(k));
        }
    }

    function withdraws(Kind kind) private {
        (address account, bytes32 id) = dataset(kind);
        (, bytes32 other) = addDataset(30 + uint256(kind));
        uint256 chain = this.chainNow();
        uint256 deadline = 1_000_000 + 1 days;
        address target = address(datasets);
        bytes memory notConsented = abi.encodeWithSelector(Consent.NotConsented.selector, account);
        bytes memory forged = consent(kind, digest(target, withdrawal(id, deadline), chain), true);
        refused(stranger, notConsented, target, abi.encodeCall(datasets.withdrawFor, (id, deadline, forged)));
        // Made for another contract, for another chain, for another dataset, for less time.
        bytes32[4] memory digests = [
            digest(address(market), withdrawal(id, deadline), chain),
            digest(target, withdrawal(id, deadline), chain + 1),
            digest(target, withdrawal(other, deadline), chain),
            digest(target, withdrawal(id, deadline - 1), chain)
        ];
        for (uint256 i = 0; i < digests.length; ++i) {
            bytes memory wrong = consent(kind, digests[i], false);
            refused(stranger, notConsented, target, abi.encodeCall(datasets.withdrawFor, (id, deadline, wrong)));
        }
        bytes memory right = consent(kind, digest(target, withdrawal(id, deadline), chain), false);
        bytes memory call = abi.encodeCall(datasets.withdrawFor, (id, deadline, right));
        // A right one, on a chain which it was not made for, and too late.
        vm.chainId(chain + 1);
        refused(stranger, notConsented, target, call);
        vm.chainId(chain);
        vm.warp(deadline + 1);
        refused(stranger, abi.encodeWithSelector(Consent.ConsentExpired.selector, deadline), target, call);
        vm.warp(deadline);
        vm.startPrank(stranger);
        datasets.withdrawFor(id, deadline, right);
        vm.stopPrank();
        vm.warp(1_000_000);
        if (!datasets.dataset(id).withdrawn) revert("not withdrawn");
        if (!datasets.isWithdrawn(datasets.dataset(id).number)) revert("not withdrawn by number");
        refused(stranger, abi.encodeWithSelector(Datasets.DatasetIsWithdrawn.selector, id), target, call);
        if (datasets.dataset(other).withdrawn) revert("other");
    }

    function test_nobody_consents_for_a_dataset_that_is_not() public {
        refused(
            stranger,
            abi.encodeWithSelector(Datasets.DatasetNotRegistered.selector, bytes32("x")),
            address(datasets),
            abi.encodeCall(datasets.withdrawFor, ("x", type(uint256).max, ""))
        );
    }

    function test_owners_of_every_kind_donate_by_signature() public {
        for (uint8 k = 0; k < 3; ++k) {
            donates(Kind(k));
        }
    }

    function donates(Kind kind) private {
        (address account, bytes32 id) = dataset(kind);
        uint256 chain = this.chainNow();
        uint256 modelId = propose(terms());
        uint256 other = propose(terms());
        bytes32 root = datasets.dataset(id).root;
        DonationConsent memory c =
            DonationConsent(modelId, id, root, payeeOf(1), DECISION, vm.addr(TRAINING_KEY), 1_000_000 + 1 days);
        bytes memory receipt = signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, payeeOf(1));
        bytes32 right = digest(address(market), donation(c), chain);
        bytes memory notConsented = abi.encodeWithSelector(Consent.NotConsented.selector, account);
        sent(notConsented, c, consent(kind, right, true), receipt);
        sent(notConsented, c, consent(kind, digest(address(datasets), donation(c), chain), false), receipt);
        sent(notConsented, c, consent(kind, digest(address(market), donation(c), chain + 1), false), receipt);
        bytes memory signature = consent(kind, right, false);
        // A sender who changes something: another payee and another enclave, which signed, too; another model; a later
        // deadline.
        c.payee = stranger;
        sent(notConsented, c, signature, signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, stranger));
        c.payee = payeeOf(1);
        c.enclave = trainingEnclave(77);
        bytes memory other_ = signDonation(keyOf[c.enclave], modelId, id, datasets.dataset(id).root, payeeOf(1));
        sent(notConsented, c, signature, other_);
        c.enclave = vm.addr(TRAINING_KEY);
        c.modelId = other;
        sent(notConsented, c, signature, signDonation(TRAINING_KEY, other, id, datasets.dataset(id).root, payeeOf(1)));
        c.modelId = modelId;
        c.deadline += 1;
        sent(notConsented, c, signature, receipt);
        c.deadline -= 1;
        c.root = "another version";
        bytes memory older = consent(kind, digest(address(market), donation(c), chain), false);
        sent(abi.encodeWithSelector(MarketLog.OtherVersion.selector, id, c.root, root), c, older, receipt);
        c.root = root;
        vm.chainId(chain + 1);
        // On another chain the enclave's receipt is worth nothing either; with one for that chain the consent is not.
        sent(notConsented, c, signature, signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, payeeOf(1)));
        vm.chainId(chain);
        vm.warp(c.deadline + 1);
        sent(abi.encodeWithSelector(Consent.ConsentExpired.selector, c.deadline), c, signature, receipt);
        vm.warp(1_000_000);
        // The owner's consent is not the enclave's receipt.
        vm.startPrank(stranger);
        (bool ok,) = address(market).call(abi.encodeCall(market.donateFor, (c, signature, signature)));
        vm.stopPrank();
        if (ok) revert("no receipt");

        vm.startPrank(stranger);
        uint16 index = market.donateFor(c, signature, receipt);
        vm.stopPrank();
        DonorInfo memory d = market.donor(modelId, index);
        if (d.payee != payeeOf(1) || d.weight != 300) revert("donor");
        sent(abi.encodeWithSelector(MarketLog.AlreadyDonated.selector, modelId, id), c, signature, receipt);
        market.pause();
        sent(abi.encodeWithSignature("EnforcedPause()"), c, signature, receipt);
        market.unpause();
    }

    function sent(bytes memory reason, DonationConsent memory c, bytes memory signature, bytes memory receipt) private {
        refused(stranger, reason, address(market), abi.encodeCall(market.donateFor, (c, signature, receipt)));
    }

    /// Wallets without keys need no relayer at all: they call.
    function test_a_contract_wallet_donates_and_withdraws_itself() public {
        (address account, bytes32 id) = dataset(Kind.Passkey);
        uint256 modelId = propose(terms());
        bytes memory receipt = signDonation(TRAINING_KEY, modelId, id, datasets.dataset(id).root, account);
        Wallet(account)
            .act(
                address(market),
                abi.encodeCall(market.donate, (modelId, id, account, DECISION, vm.addr(TRAINING_KEY), receipt))
            );
        Wallet(account).act(address(datasets), abi.encodeCall(datasets.withdraw, (id)));
        equal("donors", market.model(modelId).donors, 1);
    }

    /// What wallets answer is not trusted further than a yes: none, too little, or an error is a no.
    function test_odd_answers_are_no_consent() public {
        address[3] memory odd = [address(token), address(new Mute()), address(new Angry())];
        for (uint256 i = 0; i < odd.length; ++i) {
            members.add(odd[i], Roles.OWNER, "odd", 0);
            bytes32 root = keccak256(abi.encode("odd", i));
            bytes memory receipt = signValidation(VALIDATION_KEY, odd[i], root);
            vm.startPrank(odd[i]);
            bytes32 id = datasets.register(
                root, keccak256("report"), keccak256("policy"), 100, 3, vm.addr(VALIDATION_KEY), receipt
            );
            vm.stopPrank();
            refused(
                stranger,
                abi.encodeWithSelector(Consent.NotConsented.selector, odd[i]),
                address(datasets),
                abi.encodeCall(datasets.withdrawFor, (id, type(uint256).max, "anything"))
            );
        }
    }
}

/// Says nothing.
contract Mute {
    fallback() external {}
}

/// Fails at everything.
contract Angry {
    fallback() external {
        revert("angry");
    }
}
