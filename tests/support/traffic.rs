//! Traffic that runs while something is broken, and tells what was lost.

use std::io::{ErrorKind, Read, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::Netns;

use crate::patience;

/// How long a stream may stand still. Retransmissions back off to several seconds within an outage.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Words of a stream's segments, and how long it pauses between two.
const WORDS: u64 = 128;
const PACE: Duration = Duration::from_millis(2);

/// Whether a TCP connection from a namespace comes about within a second.
#[must_use]
pub fn connects(from: &Netns, to: impl Into<IpAddr>, port: u16) -> bool {
    let to = SocketAddr::new(to.into(), port);
    from.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_ok()).unwrap()
}

/// A TCP connection that carries numbers in sequence, until it is told to end.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    sender: Option<JoinHandle<u64>>,
    receiver: Option<JoinHandle<(u64, Duration)>>,
}

impl Stream {
    /// Starts one between two namespaces; `to` is an address in the second.
    #[must_use]
    pub fn start(from: &Netns, at: &Netns, to: impl Into<IpAddr>) -> Self {
        let listener = {
            let to = SocketAddr::new(to.into(), 0);
            at.run(|| TcpListener::bind(to)).unwrap().unwrap()
        };
        let to = listener.local_addr().unwrap();
        Self::to(from, &listener, to)
    }

    /// Starts one to a listener, whose address is another to its clients.
    #[must_use]
    pub fn to(from: &Netns, listener: &TcpListener, to: SocketAddr) -> Self {
        let sending =
            from.run(|| TcpStream::connect_timeout(&to, patience(Duration::from_secs(5)))).unwrap().unwrap();
        let (receiving, _) = listener.accept().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let arrived = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&arrived);
        // A socket stays in the namespace it was made in, whatever thread uses it.
        let sender = std::thread::spawn(move || send_numbers(sending, &stopped));
        let receiver = std::thread::spawn(move || receive_numbers(receiving, &counter));
        Self { stop, arrived, sender: Some(sender), receiver: Some(receiver) }
    }

    /// Whether anything arrives within a time.
    #[must_use]
    pub fn flows(&self, within: Duration) -> bool {
        let before = self.arrived.load(Ordering::Relaxed);
        let begin = Instant::now();
        while begin.elapsed() < within {
            if self.arrived.load(Ordering::Relaxed) > before {
                return true;
            }
            std::thread::sleep(PACE);
        }
        false
    }

    /// Ends it. Returns how many bytes arrived, all of them in order and none missing, and the longest time without
    /// any.
    #[must_use]
    pub fn finish(mut self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.take().unwrap().join().unwrap();
        let (received, pause) = self.receiver.take().unwrap().join().unwrap();
        assert_eq!(received, sent, "numbers sent and received");
        (received * 8, pause)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn send_numbers(mut stream: TcpStream, stop: &AtomicBool) -> u64 {
    stream.set_write_timeout(Some(patience(STANDSTILL))).unwrap();
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let segment: Vec<u8> = (next..next + WORDS).flat_map(u64::to_be_bytes).collect();
        stream.write_all(&segment).expect("the stream was broken");
        next += WORDS;
        std::thread::sleep(PACE);
    }
    next
}

fn receive_numbers(mut stream: TcpStream, arrived: &AtomicU64) -> (u64, Duration) {
    stream.set_read_timeout(Some(patience(STANDSTILL))).unwrap();
    let (mut next, mut last, mut pause) = (0_u64, Instant::now(), Duration::ZERO);
    let mut word = [0; 8];
    let mut reader = std::io::BufReader::new(&mut stream);
    loop {
        match reader.read_exact(&mut word) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return (next, pause),
            Err(error) => panic!("the stream was broken after {next} numbers: {error}"),
        }
        assert_eq!(u64::from_be_bytes(word), next, "out of order");
        next += 1;
        arrived.store(next, Ordering::Relaxed);
        pause = pause.max(last.elapsed());
        last = Instant::now();
    }
}
