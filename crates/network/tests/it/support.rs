#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use histone_network::client::{HubNet, HubOptions};
use histone_network::hub::{Hub, Options};
use histone_protocol::hash::sha256;
use histone_protocol::keys::SigningKey;
use tokio::sync::oneshot;

/// A hub in a thread of its own.
pub struct TestHub {
    pub address: SocketAddr,
    pub time: Arc<AtomicU64>,
    end: Option<(oneshot::Sender<bool>, JoinHandle<()>)>,
}

/// How a hub serves; its clock stands still unless a test moves it.
pub fn options(dir: &Path, time: &Arc<AtomicU64>) -> Options {
    static DRAWS: AtomicU64 = AtomicU64::new(0);
    let time = time.clone();
    Options::new(
        dir,
        Arc::new(move || time.load(Ordering::SeqCst)),
        Arc::new(|| sha256(&DRAWS.fetch_add(1, Ordering::SeqCst).to_le_bytes()).0),
    )
}

impl TestHub {
    pub fn start(dir: &Path) -> Self {
        Self::with(dir, |_| ())
    }

    pub fn with(dir: &Path, change: impl FnOnce(&mut Options)) -> Self {
        Self::at(dir, "127.0.0.1:0".parse().unwrap(), change)
    }

    pub fn at(dir: &Path, address: SocketAddr, change: impl FnOnce(&mut Options)) -> Self {
        let time = Arc::new(AtomicU64::new(1_800_000_000));
        let mut options = options(dir, &time);
        change(&mut options);
        let hub = Hub::open(options).unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ends) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (stop, stops) = oneshot::channel::<()>();
            let mut stop = Some(stop);
            runtime.block_on(async {
                let serving = hub.serve(listener, async { drop(stops.await) });
                let mut serving = std::pin::pin!(serving);
                tokio::select! {
                    served = serving.as_mut() => served.unwrap(),
                    gently = ends => {
                        if gently == Ok(true) {
                            stop.take();
                            serving.await.unwrap();
                        }
                    }
                }
            });
            // What waits is cut off; what is at the disk gets to its end, for the directory is opened again in this process.
            runtime.shutdown_timeout(Duration::from_secs(5));
        });
        Self { address, time, end: Some((end, thread)) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn net(&self, n: u8) -> HubNet {
        net(&self.url(), n)
    }

    /// Ends at once, in the middle of whatever it does.
    pub fn kill(mut self) {
        self.ends(false);
    }

    pub fn stop(mut self) {
        self.ends(true);
    }

    fn ends(&mut self, gently: bool) {
        if let Some((end, thread)) = self.end.take() {
            let _ = end.send(gently);
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }

    /// Sends bytes and reads until the hub has no more to say.
    pub fn raw(&self, request: &str) -> String {
        raw(self.address, request.as_bytes())
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.ends(false);
    }
}

pub fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

pub fn net(url: &str, n: u8) -> HubNet {
    HubNet::new(HubOptions { patience: Duration::from_secs(10), ..HubOptions::new(url, key(n)) }).unwrap()
}

/// Bytes that do not repeat, of the mixing function of SplitMix64.
pub fn bytes(length: usize) -> Vec<u8> {
    let mix = |n: u64| {
        let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb).to_le_bytes()
    };
    (1..=length.div_ceil(8) as u64).flat_map(mix).take(length).collect()
}
