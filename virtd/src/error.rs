//! libvirt's error object: what a call that fails is answered with.
//!
//! Codes, and the words that a code's message begins with: libvirt's `virterror.h`. Clients
//! tell errors apart by the code, and people read the message.

use xend::rpc::client::CallError;
use xend::rpc::code;

use crate::xdr_struct;

/// What a client tells errors apart by (`virErrorNumber`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Code {
    Internal = 1,
    NoSupport = 3,
    InvalidArg = 8,
    OperationFailed = 9,
    XmlError = 27,
    DomExist = 28,
    OperationDenied = 29,
    Rpc = 39,
    NoDomain = 42,
    NoNetwork = 43,
    AuthFailed = 45,
    NoStoragePool = 49,
    NoStorageVol = 50,
    OperationInvalid = 55,
    ConfigUnsupported = 67,
    OperationTimeout = 68,
    ArgumentUnsupported = 74,
    NoDomainMetadata = 80,
    DeviceMissing = 99,
}

impl Code {
    /// What the message of such an error begins with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Internal => "internal error: ",
            Self::NoSupport => "this function is not supported by the connection driver: ",
            Self::InvalidArg => "invalid argument: ",
            Self::OperationFailed => "operation failed: ",
            Self::XmlError => "XML error: ",
            Self::DomExist | Self::Rpc => "",
            Self::OperationDenied => "operation forbidden: ",
            Self::NoDomain => "Domain not found: ",
            Self::NoNetwork => "Network not found: ",
            Self::AuthFailed => "authentication failed: ",
            Self::NoStoragePool => "Storage pool not found: ",
            Self::NoStorageVol => "Storage volume not found: ",
            Self::OperationInvalid => "Requested operation is not valid: ",
            Self::ConfigUnsupported => "unsupported configuration: ",
            Self::OperationTimeout => "Timed out during operation: ",
            Self::ArgumentUnsupported => "argument unsupported: ",
            Self::NoDomainMetadata => "metadata not found: ",
            Self::DeviceMissing => "device not found: ",
        }
    }

    /// The part of libvirt that such errors come from (`virErrorDomain`).
    fn domain(self) -> i32 {
        const XEN: i32 = 1;
        const RPC: i32 = 7;
        const DOMAIN: i32 = 20;
        const NETWORK: i32 = 19;
        const STORAGE: i32 = 18;
        match self {
            Self::Rpc | Self::AuthFailed => RPC,
            Self::XmlError | Self::ConfigUnsupported | Self::DomExist => DOMAIN,
            Self::NoNetwork => NETWORK,
            Self::NoStoragePool | Self::NoStorageVol => STORAGE,
            _ => XEN,
        }
    }
}

/// Why a call was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", code.prefix())]
pub struct Error {
    /// What kind of reason.
    pub code: Code,
    /// The reason, without what the kind already says.
    pub message: String,
}

/// What a call gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of some kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Something that should not fail did.
    pub fn internal(message: impl ToString) -> Self {
        Self::new(Code::Internal, message.to_string())
    }

    /// A message that can't be understood, or comes at the wrong moment.
    pub fn rpc(message: impl Into<String>) -> Self {
        Self::new(Code::Rpc, message)
    }

    /// What the caller asked for makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArg, message)
    }

    /// It makes sense, but not in the state that things are in.
    pub fn state(message: impl Into<String>) -> Self {
        Self::new(Code::OperationInvalid, message)
    }

    /// A guest that can't be made here.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Code::ConfigUnsupported, message)
    }

    /// The error as it is sent.
    pub fn to_wire(&self) -> WireError {
        /// `VIR_ERR_ERROR`.
        const ERROR: i32 = 2;
        WireError {
            code: self.code as i32,
            domain: self.code.domain(),
            message: Some(self.to_string()),
            level: ERROR,
            dom: None,
            str1: Some("%s".to_owned()),
            str2: Some(self.message.clone()),
            str3: None,
            int1: 0,
            int2: 0,
            net: None,
        }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Fault(fault) if fault.code == code::INVALID_DOMAIN => {
                Self::new(Code::NoDomain, format!("no domain '{}'", fault.message))
            }
            CallError::Fault(fault) => Self::new(Code::OperationFailed, fault.message),
            CallError::Connection(error) => Self::internal(format!(
                "xend does not answer: {error}. Is the service xend online? (svcs -x xend)"
            )),
            CallError::Protocol(reason) => Self::internal(reason),
        }
    }
}

xdr_struct! {
    /// An error as it is sent (`virNetMessageError`).
    WireError {
        code: i32,
        domain: i32,
        message: Option<String>,
        level: i32,
        dom: Option<crate::protocol::Domain>,
        str1: Option<String>,
        str2: Option<String>,
        str3: Option<String>,
        int1: i32,
        int2: i32,
        net: Option<crate::protocol::Network>,
    }
}
