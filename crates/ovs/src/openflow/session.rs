//! A connection that speaks in types.

use std::io;

use bytes::Bytes;
use openflow::{
    BundleAdd, BundleControl, BundleControlType, BundleFlags, CtFlush, DecodeError, EncodeError, ErrorReason,
    FlowRequest, FlowStats, Frame as Decoded, Group, Message, MultipartReply, MultipartRequest, SwitchConfig,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::connection::{Asynchronous, Closed, Connection, RequestError};
use super::frame::Frame;
use crate::Address;

/// A connection to one bridge. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Session {
    connection: Connection,
    bundles: Arc<AtomicU32>,
}

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// The switch refused the message.
    #[error("the switch refused the message: {0}")]
    Refused(ErrorReason),
    /// The connection ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The message cannot be written.
    #[error("the message cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The reply cannot be read.
    #[error("the switch's reply cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// The reply is not one to this request.
    #[error("the switch replied to {request} with something else")]
    Unexpected {
        /// What was asked.
        request: &'static str,
    },
}

/// Why a bundle was not applied. Nothing of it is in the switch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BundleError {
    /// The switch refused one of the messages.
    #[error("the switch refused message {index} of the bundle ({message}): {error}")]
    Refused {
        /// Which one, counted from zero.
        index: usize,
        /// The message, as `ovs-ofctl` prints it.
        message: String,
        /// What the switch says.
        error: ErrorReason,
    },
    /// Something else went wrong.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Session {
    /// Connects to a bridge's management socket.
    ///
    /// # Errors
    /// When nobody listens there, or the bridge does not offer OpenFlow 1.5.
    pub async fn connect(address: &Address) -> io::Result<(Self, Asynchronous)> {
        let stream = address.connect().await?;
        let (connection, asynchronous) = Connection::start(stream).await?;
        Ok((Self { connection, bundles: Arc::new(AtomicU32::new(0)) }, asynchronous))
    }

    /// Sends a message that has a reply, and returns its parts.
    ///
    /// # Errors
    /// The switch's own error for this message, the end of the connection, or a reply that cannot be read.
    pub async fn request(&self, message: &Message) -> Result<Vec<Message>, SessionError> {
        let encoded = encode(message)?;
        let frames = self.connection.request(|xid| with_xid(&encoded, xid)).await.map_err(refused)?;
        frames.iter().map(decode).collect()
    }

    /// Returns when the switch has finished everything that was sent before.
    ///
    /// # Errors
    /// As [`Session::request`].
    pub async fn barrier(&self) -> Result<(), SessionError> {
        self.request(&Message::BarrierRequest).await.map(|_| ())
    }

    /// Sets the switch's configuration, such as what it does with fragments. It holds for all connections, until
    /// ovs-vswitchd is restarted.
    ///
    /// # Errors
    /// As [`Session::request`].
    pub async fn configure(&self, config: SwitchConfig) -> Result<(), SessionError> {
        self.tell([Message::SetConfig(config)]).await
    }

    /// Has the switch forget connections.
    ///
    /// # Errors
    /// As [`Session::request`]; what the switch forgot before stays forgotten.
    pub async fn forget(&self, connections: &[CtFlush]) -> Result<(), SessionError> {
        self.tell(connections.iter().copied().map(Message::CtFlush)).await
    }

    /// Sends messages that have no reply, and returns when the switch has taken them, or refused the first of them that it
    /// refuses.
    async fn tell(&self, messages: impl IntoIterator<Item = Message>) -> Result<(), SessionError> {
        let encoded: Vec<_> =
            messages.into_iter().map(|message| encode(&message)).collect::<Result<_, _>>()?;
        let sends = encoded.iter().map(|bytes| |xid| with_xid(bytes, xid));
        let mut batch = self.connection.batch(sends).await.map_err(refused)?;
        self.barrier().await?;
        match batch.errors().into_iter().next() {
            None => Ok(()),
            Some((_, frame)) => match decode(&frame)? {
                Message::Error(error) => Err(SessionError::Refused(error.reason)),
                _ => Err(SessionError::Unexpected { request: "a message without reply" }),
            },
        }
    }

    /// Applies all of `messages` (changes of flows, groups, meters) or none, in their order, so that no packet sees a
    /// state in between.
    ///
    /// # Errors
    /// The first message that the switch refuses, or the end of the connection, upon which the switch forgets the
    /// bundle.
    pub async fn bundle(&self, messages: Vec<Message>) -> Result<(), BundleError> {
        let id = self.bundles.fetch_add(1, Ordering::Relaxed);
        let flags = BundleFlags::ATOMIC | BundleFlags::ORDERED;
        let control = |kind| Message::BundleControl(BundleControl { id, kind, flags });
        let adds = messages
            .into_iter()
            .map(|message| Message::BundleAdd(BundleAdd { id, flags, message: Box::new(message) }))
            .collect::<Vec<_>>();
        let encoded = adds.iter().map(encode).collect::<Result<Vec<_>, _>>().map_err(SessionError::from)?;
        let open = encode(&control(BundleControlType::OpenRequest)).map_err(SessionError::from)?;
        // All in one write: a switch that is busy answers once per turn of its loop, and each answer that is waited
        // for costs a turn.
        let opening = self.connection.ask(|xid| with_xid(&open, xid)).await.map_err(refused)?;
        let sends = encoded.iter().map(|bytes| |xid| with_xid(bytes, xid));
        let mut batch = self.connection.batch(sends).await.map_err(refused)?;
        let explain = |errors: Vec<(usize, Frame)>| -> Option<BundleError> {
            let (index, frame) = errors.into_iter().next()?;
            let message = match adds.get(index) {
                Some(Message::BundleAdd(add)) => add.message.with_xid(0).to_string(),
                _ => String::new(),
            };
            Some(match decode(&frame) {
                Ok(Message::Error(error)) => BundleError::Refused { index, message, error: error.reason },
                Ok(_) => SessionError::Unexpected { request: "a bundle's message" }.into(),
                Err(error) => error.into(),
            })
        };
        // Errors of the additions come before the reply to what follows them. The commit has to wait for that: a switch
        // leaves out of the bundle what it refused, and would apply the rest.
        self.barrier().await?;
        let opened = opening.reply().await.map_err(|error| BundleError::from(refused(error)));
        // Why there is no bundle says more than that nothing can be added to it.
        if let Some(error) = opened.err().or_else(|| explain(batch.errors())) {
            // The switch may have forgotten the bundle already; what it refused is the news, not that.
            let _ = self.request(&control(BundleControlType::DiscardRequest)).await;
            return Err(error);
        }
        let committed = self.request(&control(BundleControlType::CommitRequest)).await;
        // A message that only failed when it was applied is named too, ahead of the refused commit.
        match (explain(batch.errors()), committed) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(_)) => Ok(()),
        }
    }

    /// Flows with their counters.
    ///
    /// # Errors
    /// As [`Session::request`].
    pub async fn flows(&self, request: FlowRequest) -> Result<Vec<FlowStats>, SessionError> {
        let mut all = Vec::new();
        for body in self.multipart(MultipartRequest::Flows(request)).await? {
            match body {
                MultipartReply::Flows(flows) => all.extend(flows),
                _ => return Err(SessionError::Unexpected { request: "a request for flows" }),
            }
        }
        Ok(all)
    }

    /// All groups.
    ///
    /// # Errors
    /// As [`Session::request`].
    pub async fn groups(&self) -> Result<Vec<Group>, SessionError> {
        let mut all = Vec::new();
        for body in self.multipart(MultipartRequest::Groups(None)).await? {
            match body {
                MultipartReply::Groups(groups) => all.extend(groups),
                _ => return Err(SessionError::Unexpected { request: "a request for groups" }),
            }
        }
        Ok(all)
    }

    /// Sends a multipart request and returns the bodies of all parts of its reply.
    ///
    /// # Errors
    /// As [`Session::request`].
    pub async fn multipart(&self, request: MultipartRequest) -> Result<Vec<MultipartReply>, SessionError> {
        let parts = self.request(&Message::MultipartRequest(request)).await?;
        parts
            .into_iter()
            .map(|part| match part {
                Message::MultipartReply { body, .. } => Ok(body),
                _ => Err(SessionError::Unexpected { request: "a multipart request" }),
            })
            .collect()
    }

    /// Waits until the connection has ended and says why.
    pub async fn closed(&self) -> Closed {
        self.connection.closed().await
    }
}

/// Reads a message.
///
/// # Errors
/// When the bytes are none of OpenFlow 1.5.
pub fn decode(frame: &Frame) -> Result<Message, SessionError> {
    Ok(Decoded::decode(frame.bytes())?.message)
}

fn encode(message: &Message) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    message.encode(0, &mut bytes)?;
    Ok(bytes)
}

/// The message with its transaction id, and a message within it (of a bundle) with the same one.
fn with_xid(encoded: &[u8], xid: u32) -> Bytes {
    const BUNDLE_ADD: u8 = 34;
    const INNER: usize = 16;
    let mut bytes = encoded.to_vec();
    let inner = (bytes.get(1) == Some(&BUNDLE_ADD)).then_some(INNER);
    for start in [Some(0), inner].into_iter().flatten() {
        if let Some(place) = bytes.get_mut(start + 4..start + 8) {
            place.copy_from_slice(&xid.to_be_bytes());
        }
    }
    bytes.into()
}

fn refused(error: RequestError) -> SessionError {
    match error {
        RequestError::Closed(closed) => closed.into(),
        RequestError::Refused(frame) => match decode(&frame) {
            Ok(Message::Error(error)) => SessionError::Refused(error.reason),
            Ok(_) => SessionError::Unexpected { request: "a message" },
            Err(error) => error,
        },
    }
}
