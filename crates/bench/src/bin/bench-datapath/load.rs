//! What is measured: TCP streams, TCP connections one after the other, and UDP datagrams there and back. Threads with
//! blocking sockets: nothing is measured but the kernel's stack and what is between the pods.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;

use crate::cluster::FIRST_PORT;
use crate::contender::End;

/// Bytes that a stream is written and read by.
const CHUNK: usize = 128 << 10;
/// Bytes of a question, and of its answer.
const MESSAGE: usize = 64;
/// How long any packet may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What goes by of each measurement before it counts: the first packets after some seconds of silence are upcalls. What is
/// measured is the steady state, and not them.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long one stream is measured. Between nodes each has a pace of its own, a tenth more or less, whoever carries it: many short
/// ones tell more than a long one.
const STREAM: Duration = Duration::from_millis(400);
/// And so streams are measured for so many times as long as the others.
const STREAMS: u32 = 4;
/// What goes by of streams that follow another one: their kind of packets is known.
const WARM_UP_AGAIN: Duration = Duration::from_millis(100);

/// A kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Of one TCP stream after the other, Gbit/s
    #[value(name = "stream")]
    Throughput,
    /// TCP connections, each with a question and an answer, per second
    #[value(name = "connections")]
    Connections,
    /// Time of a UDP datagram there and of its answer back, median, microseconds
    #[value(name = "round-trip")]
    Latency,
}

impl Measure {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "TCP stream, Gbit/s",
            Self::Connections => "TCP connect/request/response/close, /s",
            Self::Latency => "UDP round trip, us",
        }
    }

    /// How much better one is than another: above 1 is better.
    pub(crate) fn ratio(self, ours: f64, other: f64) -> Option<f64> {
        match self {
            Self::Latency => bench::ratio(other, ours),
            _ => bench::ratio(ours, other),
        }
    }

    pub(crate) fn run(self, from: &End, to: &End, time: Duration) -> anyhow::Result<f64> {
        match self {
            Self::Throughput => throughput(from, to, time * STREAMS),
            Self::Connections => connections(from, to, time),
            Self::Latency => latency(from, to, time),
        }
    }
}

fn listen(at: &End) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let address = SocketAddr::new(at.address, FIRST_PORT);
    Ok((at.netns.run(|| TcpListener::bind(address))??, address))
}

/// One stream after the other, each for [`STREAM`], until `time` has gone by: all that they carried, by all the time that they took.
fn throughput(from: &End, to: &End, time: Duration) -> anyhow::Result<f64> {
    let (mut carried, mut warm_up) = (Carried::default(), WARM_UP);
    while carried.time < time {
        let one = stream(from, to, warm_up)?;
        carried.bytes += one.bytes;
        carried.time += one.time;
        warm_up = WARM_UP_AGAIN;
    }
    let bits = 8.0 * f64::from(u32::try_from(carried.bytes >> 10)?) * 1024.0;
    Ok(bits / carried.time.as_secs_f64() / 1e9)
}

/// What streams have carried.
#[derive(Default)]
struct Carried {
    bytes: u64,
    time: Duration,
}

/// A new stream, and what it carries once the warm-up is over.
fn stream(from: &End, to: &End, warm_up: Duration) -> anyhow::Result<Carried> {
    let (listener, address) = listen(to)?;
    let mut sending = from.netns.run(|| TcpStream::connect(address))?.context("a TCP stream")?;
    let (mut receiving, _) = listener.accept()?;
    receiving.set_read_timeout(Some(PATIENCE))?;
    sending.set_write_timeout(Some(PATIENCE))?;
    let receiver = std::thread::spawn(move || -> std::io::Result<Carried> {
        let mut buffer = vec![0; CHUNK];
        let begin = Instant::now();
        let (mut from, mut bytes) = (begin, 0_u64);
        loop {
            let read = receiving.read(&mut buffer)?;
            if read == 0 {
                return Ok(Carried { bytes, time: from.elapsed() });
            }
            if begin.elapsed() < warm_up {
                from = Instant::now();
            } else {
                bytes += read as u64;
            }
        }
    });
    let (chunk, begin) = (vec![0x5a; CHUNK], Instant::now());
    while begin.elapsed() < STREAM + warm_up {
        sending.write_all(&chunk)?;
    }
    drop(sending);
    Ok(receiver.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))??)
}

/// Answers questions, and closes, until one is different.
fn answer(listener: &TcpListener) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut question = [0; MESSAGE];
        stream.read_exact(&mut question)?;
        stream.write_all(&question)?;
        if question.first() != Some(&0) {
            return Ok(());
        }
    }
}

fn connections(from: &End, to: &End, time: Duration) -> anyhow::Result<f64> {
    let (listener, address) = listen(to)?;
    let server = std::thread::spawn(move || answer(&listener));
    let ask = |question: [u8; MESSAGE]| -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&question)?;
        // Until the server has closed: then it is its port that waits for late packets, and not one of the client's.
        let mut answer = Vec::with_capacity(MESSAGE);
        stream.read_to_end(&mut answer)?;
        if answer == question { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
    };
    let all = || -> std::io::Result<f64> {
        let warm_up = Instant::now();
        while warm_up.elapsed() < WARM_UP {
            ask([0; MESSAGE])?;
        }
        let (begin, mut asked) = (Instant::now(), 0_u32);
        while begin.elapsed() < time {
            ask([0; MESSAGE])?;
            asked += 1;
        }
        let rate = f64::from(asked) / begin.elapsed().as_secs_f64();
        ask([1; MESSAGE])?;
        Ok(rate)
    };
    let rate = from.netns.run(all)?.context("TCP connections")?;
    server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    Ok(rate)
}

fn latency(from: &End, to: &End, time: Duration) -> anyhow::Result<f64> {
    let address = SocketAddr::new(to.address, FIRST_PORT);
    let server = to.netns.run(|| UdpSocket::bind(address))??;
    server.set_read_timeout(Some(Duration::from_millis(100)))?;
    let client = from.netns.run(|| UdpSocket::bind(SocketAddr::new(from.address, 0)))??;
    client.connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(1)))?;
    let done = AtomicBool::new(false);
    let mut times = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; MESSAGE];
            while !done.load(Ordering::Relaxed) {
                if let Ok((length, who)) = server.recv_from(&mut buffer) {
                    // A lost answer is the client's to notice.
                    let _ = server.send_to(buffer.get(..length).unwrap_or_default(), who);
                }
            }
        });
        let times = exchange(&client, time);
        done.store(true, Ordering::Relaxed);
        times
    })?;
    times.sort_unstable();
    let median = times.get(times.len() / 2).context("no datagram came back in time")?;
    Ok((median.as_secs_f64() * 1e7).round() / 10.0)
}

fn exchange(client: &UdpSocket, time: Duration) -> anyhow::Result<Vec<Duration>> {
    let (mut times, mut lost) = (Vec::new(), 0);
    let (mut buffer, begin) = ([0; MESSAGE], Instant::now());
    while begin.elapsed() < time + WARM_UP {
        let sent = Instant::now();
        client.send(&[0x5a; MESSAGE])?;
        match client.recv(&mut buffer) {
            Ok(_) if begin.elapsed() > WARM_UP => times.push(sent.elapsed()),
            Ok(_) => {}
            Err(_) => {
                lost += 1;
                ensure!(lost < 3, "{lost} datagrams were lost");
            }
        }
    }
    Ok(times)
}
