//! One source for every processor: a kernel is compiled several times, and the widest version that runs here is chosen.
//!
//! A [`Kernel`] is ordinary Rust whose loops the compiler turns into vector instructions. Nothing in it depends on the
//! width of a vector: integers are exact, and sums of floats are written in one order, which the compiler may not change
//! and which it may not fuse into multiply-add. So all versions give the same bits, and the portable one is the reference.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "a function compiled for certain instructions may be called where they were found"
    )
)]

/// A piece of work that is compiled for several processors. `run` must be `#[inline(always)]`: only what is inlined into
/// the versions below is compiled anew. So write loops there: what a closure of `map`, `collect` or `from_fn` does may be
/// compiled for itself, without the wide instructions; the result is the same, but late.
pub(crate) trait Kernel {
    type Output;
    fn run(self) -> Self::Output;
}

/// Runs a kernel with the widest vectors that this processor has.
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vpopcntdq");
        if avx2 && avx512 {
            // SAFETY: exactly the features that the function is compiled with were found.
            return unsafe { run_avx512(kernel) };
        }
        if avx2 {
            // SAFETY: exactly the features that the function is compiled with were found.
            return unsafe { run_avx2(kernel) };
        }
    }
    run_portable(kernel)
}

/// The version without any assumption, also for comparison.
pub(crate) fn run_portable<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq,avx2,popcnt")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
