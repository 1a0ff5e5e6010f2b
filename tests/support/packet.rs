//! Raw sockets on Ethernet (packet(7)).

use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use host::Netns;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// Sends Ethernet frames out of a namespace's `eth0`, as they are.
pub fn send(netns: &Netns, frames: &[Vec<u8>]) {
    netns
        .run(|| {
            let links = nix::ifaddrs::getifaddrs().unwrap().filter(|link| link.interface_name == "eth0");
            let addresses: Vec<_> = links.filter_map(|link| link.address).collect();
            let link = addresses.iter().find_map(|address| address.as_link_addr()).unwrap();
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
            for frame in frames {
                let sent = sendto(socket.as_raw_fd(), frame, link, MsgFlags::empty()).unwrap();
                assert_eq!(sent, frame.len());
            }
        })
        .unwrap();
}

/// Everything that a namespace's interfaces see, from the start of this on.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    frames: JoinHandle<Vec<Vec<u8>>>,
}

impl Capture {
    /// Begins. Frames that arrive after this returns are seen.
    #[must_use]
    pub fn start(netns: &Netns) -> Self {
        let open =
            || socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
        let socket = netns.run(open).unwrap().unwrap();
        setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(50)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let frames = std::thread::spawn(move || {
            let mut frames = Vec::new();
            let mut buffer = [0; 2048];
            loop {
                match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    Ok(len) => frames.push(buffer[..len].to_vec()),
                    Err(_) if stopped.load(Ordering::Relaxed) => return frames,
                    Err(_) => {}
                }
            }
        });
        Self { stop, frames }
    }

    /// Ends after a moment in which late frames may still come; those in which the text occurs.
    #[must_use]
    pub fn frames_with(self, text: &[u8]) -> Vec<Vec<u8>> {
        std::thread::sleep(Duration::from_millis(300));
        self.stop.store(true, Ordering::Relaxed);
        let frames = self.frames.join().unwrap();
        frames.into_iter().filter(|frame| frame.windows(text.len()).any(|part| part == text)).collect()
    }
}
