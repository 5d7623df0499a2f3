package import NIOCore

/// A record that an application sends (FastCGI specification §3.3, §5). Its request is always number 1: one request
/// at a time is made on a connection.
package enum FastCGIRecord: Sendable, Equatable {
    /// A piece of the answer. Empty: the stream has ended.
    case output(ByteBuffer)
    /// A piece of the error stream. Empty: the stream has ended.
    case errorOutput(ByteBuffer)
    /// The request is over.
    case endRequest(applicationStatus: UInt32, protocolStatus: FastCGIProtocolStatus)
}

/// How an application ended a request (FastCGI specification §5.5).
package enum FastCGIProtocolStatus: UInt8, Sendable {
    case requestComplete = 0
    case cannotMultiplex = 1
    case overloaded = 2
    case unknownRole = 3
}

/// The record types used here (FastCGI specification §8).
enum FastCGIRecordType: UInt8 {
    case beginRequest = 1
    case abortRequest = 2
    case endRequest = 3
    case parameters = 4
    case input = 5
    case output = 6
    case errorOutput = 7
}

/// What the wire protocol refuses. After a decoding error the connection is of no use any more.
package enum FastCGIError: String, Error, Sendable {
    case unsupportedVersion = "a record of another protocol version"
    case foreignRequestID = "a record of another request"
    case unexpectedType = "a record of a type that was not asked for"
    case malformedEndRequest = "a malformed END_REQUEST record"
    case recordOutOfTurn = "a record where none was expected"
    /// A name-value pair longer than one record can hold; nothing was sent.
    case parameterTooLong = "a parameter is longer than a record"
}

/// The one request number used on a connection.
let requestID: UInt16 = 1
/// The content of one record, FCGI_MAX_LENGTH.
let maximumContentLength = 65_535
/// Bytes of a record before its content.
let headerLength = 8
