// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Members, Roles} from "./Members.sol";

/// @title The money of one large pool of donors, paid out by Merkle roots.
/// @notice For pools of more than about 10,000 accounts, such as the persons behind one biobank: the pool donates to a
/// model as one donor, with this contract as payee. Everything that arrives here belongs to the pool.
///
/// An epoch is a published list of accounts, each with the sum of all that it was ever due, and the Merkle root of that
/// list. The sums only grow, so that one claim pays whatever was missed, and nothing expires. An account with weight
/// `w` of `W` is due `total * w / W`, rounded down; what rounding leaves is part of the next epoch. From the list anybody
/// recomputes the root: leaves are keccak256(keccak256(abi.encode(account, due))), in the order of OpenZeppelin's
/// `StandardMerkleTree`.
///
/// A root can be used once its challenge window is over. Until then an auditor who computes another one vetoes it, or the
/// keeper does. The keeper proposes; an auditor only when the keeper was silent for `silence`. Proposing and vetoing
/// ends the silence of the keeper, also when what it proposes is vetoed. So nobody empties the pool as long as somebody
/// looks once in each window: the roots of a keeper pass all auditors, those of an auditor the keeper, who is not gone
/// then, and all other auditors. And nobody locks it for ever, but for as long as a vote takes: the members remove an
/// auditor who vetoes without cause, and they name another keeper (`setKeeper`) in the place of one who does, or who
/// keeps proposing what auditors have to veto. A pool that does not trust that vote is deployed with a register of
/// members of its own.
///
/// No root shares out more than ever arrived, or less than the one before; and claims take no more in all than the root
/// in use shares out, whatever its leaves say.
contract Epochs is ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    // All that changes with every step, in one slot.
    struct Standing {
        uint128 paidOut;
        uint40 usableAt;
        uint24 epoch;
        uint40 keeperSpoke;
    }

    /// @notice The only money that is paid out.
    IERC20 public immutable token;
    /// @notice The register of members, for its auditors and for whom the members let name the keeper.
    Members public immutable members;
    /// @notice Seconds between the proposal of a root and its use.
    uint32 public immutable window;
    /// @notice Seconds after the keeper spoke last in which only the keeper proposes.
    uint32 public immutable silence;
    /// @notice Who proposes roots.
    address public keeper;

    Standing private _standing;
    // The root of epoch n is at n % 2: the one in use and the one in its window.
    bytes32[2] private _roots;
    // 1 + what the list of that root shares out.
    uint128[2] private _totals;

    /// @notice Units that were paid to an account.
    mapping(address account => uint256) public paid;

    /// @notice A root was proposed; it can be used from `usableAt` on, unless it is vetoed.
    event EpochProposed(
        uint24 indexed epoch, address indexed by, bytes32 root, bytes32 listHash, uint256 total, uint64 usableAt
    );
    /// @notice A root was vetoed; the one before it stays in use.
    event EpochVetoed(uint24 indexed epoch, address indexed by, bytes32 reportHash);
    /// @notice Somebody else proposes from now on.
    event KeeperSet(address indexed keeper, address previous);

    /// @notice A hash or address that must be given is zero.
    error ZeroValue();
    /// @notice A root which nobody has time to check.
    error WindowTooShort(uint32 window);
    /// @notice A keeper needs at least the window of a root to speak again.
    error SilenceTooShort(uint32 silence, uint32 window);
    /// @notice The keeper spoke; auditors propose from `from` on if it says nothing more.
    error KeeperNotSilent(uint64 from);
    /// @notice Only whom the access manager of the members lets do it at once may do this.
    error NotManager(address account);
    /// @notice The window of the latest root is not over.
    error EpochPending(uint24 epoch, uint64 usableAt);
    /// @notice No root is in its window, or another one.
    error NotPending(uint24 epoch);
    /// @notice The list shares out more than ever arrived.
    error MoreThanReceived(uint256 total, uint256 received);
    /// @notice The list shares out less than the one before; sums of donors only grow.
    error LessThanBefore(uint256 total, uint256 before);
    /// @notice The list of the root in use shares out `total`, and claims would take `sum`.
    error MoreThanTotal(uint256 sum, uint256 total);
    /// @notice The proof does not lead to the root in use.
    error BadProof(uint24 epoch, address account, uint256 due);
    /// @notice There is nothing to pay to this account.
    error NothingOwed(address account);

    /// @param token_ The only money that is paid out.
    /// @param members_ The register of members.
    /// @param keeper_ Who proposes roots: the institution which speaks for the pool.
    /// @param window_ Seconds in which a root can be vetoed, at least one hour.
    /// @param silence_ Seconds of silence of the keeper after which auditors propose, at least the window.
    constructor(IERC20 token_, Members members_, address keeper_, uint32 window_, uint32 silence_) {
        if (keeper_ == address(0)) revert ZeroValue();
        if (window_ < 1 hours) revert WindowTooShort(window_);
        if (silence_ < window_) revert SilenceTooShort(silence_, window_);
        token = token_;
        members = members_;
        window = window_;
        silence = silence_;
        // No list has these roots. They make the first epochs cost as much as the later ones.
        _roots = [bytes32(uint256(1)), bytes32(uint256(1))];
        _totals = [1, 1];
        _standing.usableAt = uint40(block.timestamp);
        _setKeeper(keeper_);
    }

    /// @notice Proposes the next root; one at a time. The keeper, or an auditor when the keeper was silent.
    /// @param root Merkle root of the list.
    /// @param listHash Hash of the published list.
    /// @param total What the list shares out, with what rounding leaves; at most what ever arrived here, and at least what
    /// the list before shares out.
    function propose(bytes32 root, bytes32 listHash, uint256 total) external nonReentrant {
        Standing memory s = _standing;
        if (msg.sender == keeper) {
            s.keeperSpoke = uint40(block.timestamp);
        } else {
            members.requireRole(msg.sender, Roles.AUDITOR);
            uint64 from = uint64(s.keeperSpoke) + silence;
            if (block.timestamp < from) revert KeeperNotSilent(from);
        }
        if (root == 0 || listHash == 0) revert ZeroValue();
        if (block.timestamp < s.usableAt) revert EpochPending(s.epoch, s.usableAt);
        uint256 before = _totals[s.epoch % 2] - 1;
        if (total < before) revert LessThanBefore(total, before);
        uint256 received = token.balanceOf(address(this)) + s.paidOut;
        if (total > received) revert MoreThanReceived(total, received);
        s.epoch += 1;
        s.usableAt = (block.timestamp + window).toUint40();
        _standing = s;
        _roots[s.epoch % 2] = root;
        _totals[s.epoch % 2] = (total + 1).toUint128();
        emit EpochProposed(s.epoch, msg.sender, root, listHash, total, s.usableAt);
    }

    /// @notice Takes back a root in its window; the next proposal has the same number. An AUDITOR, or the keeper, who speaks
    /// by it.
    /// @param epoch Its number, so that a veto never hits another root.
    /// @param reportHash Hash of a document which says why.
    function veto(uint24 epoch, bytes32 reportHash) external nonReentrant {
        Standing memory s = _standing;
        if (msg.sender == keeper) s.keeperSpoke = uint40(block.timestamp);
        else members.requireRole(msg.sender, Roles.AUDITOR);
        if (reportHash == 0) revert ZeroValue();
        if (s.epoch != epoch || block.timestamp >= s.usableAt) revert NotPending(epoch);
        s.epoch = epoch - 1;
        s.usableAt = uint40(block.timestamp);
        _standing = s;
        emit EpochVetoed(epoch, msg.sender, reportHash);
    }

    /// @notice Names another keeper, whose silence begins now. Whom the access manager names: governance.
    function setKeeper(address keeper_) external {
        if (!members.mayManage(msg.sender, address(this), msg.sig)) revert NotManager(msg.sender);
        if (keeper_ == address(0)) revert ZeroValue();
        _setKeeper(keeper_);
    }

    /// @notice Pays an account what it is due by the root in use and was not paid yet. Anybody may call, the money goes
    /// to the account. The token records the payment; no event here repeats it.
    /// @param account The account.
    /// @param due The sum beside it in the list.
    /// @param proof The siblings on the way to the root.
    /// @return amount Units of the token.
    function claim(address account, uint256 due, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 amount)
    {
        (uint24 epoch, bytes32 root, uint256 total) = inUse();
        // Hashed twice, so that no inner node of the tree can be taken for a leaf.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, due))));
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert BadProof(epoch, account, due);
        uint256 before = paid[account];
        if (due <= before) revert NothingOwed(account);
        amount = due - before;
        paid[account] = due;
        uint256 sum = _standing.paidOut + amount;
        if (sum > total) revert MoreThanTotal(sum, total);
        _standing.paidOut = sum.toUint128();
        token.safeTransfer(account, amount);
    }

    /// @notice The root by which claims are paid now.
    /// @return epoch Its number; 0 before the first one, when nothing can be claimed.
    /// @return root The root.
    /// @return total What its list shares out; all claims together take no more.
    function inUse() public view returns (uint24 epoch, bytes32 root, uint256 total) {
        Standing memory s = _standing;
        // Before the first proposal nothing is pending, so that this does not fall below zero.
        epoch = block.timestamp < s.usableAt ? s.epoch - 1 : s.epoch;
        root = _roots[epoch % 2];
        total = _totals[epoch % 2] - 1;
    }

    /// @notice The latest root, in use or in its window.
    /// @return epoch Its number, 0 when there was none.
    /// @return root The root.
    /// @return usableAt Unix seconds; from then on it is in use.
    function latest() external view returns (uint24 epoch, bytes32 root, uint64 usableAt) {
        Standing memory s = _standing;
        return (s.epoch, _roots[s.epoch % 2], s.usableAt);
    }

    /// @notice Units that were paid out, and units that ever arrived.
    function totals() external view returns (uint256 paidOut, uint256 received) {
        paidOut = _standing.paidOut;
        received = token.balanceOf(address(this)) + paidOut;
    }

    function _setKeeper(address keeper_) private {
        emit KeeperSet(keeper_, keeper);
        keeper = keeper_;
        _standing.keeperSpoke = uint40(block.timestamp);
    }
}
