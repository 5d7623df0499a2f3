package import NIOCore

/// The head of a script's answer (RFC 3875 §6): status and header fields, validated.
package struct CGIResponseHead: Sendable, Equatable {
    /// A header field. The name is a token of RFC 9110 §5.1 in the script's spelling; the value is bytes without
    /// control characters and without surrounding white space, a slice of what the script sent.
    package struct Field: Sendable, Equatable {
        package var name: String
        package var value: ByteBuffer

        package init(name: String, value: ByteBuffer) {
            self.name = name
            self.value = value
        }
    }

    /// 200–599; 200 where the script named none, 302 where it named only a Location.
    package var status: Int
    /// The text behind the status code, empty where there was none.
    package var reason: String
    /// All fields but `Status`, in order.
    package var fields: [Field]

    package init(status: Int, reason: String = "", fields: [Field] = []) {
        self.status = status
        self.reason = reason
        self.fields = fields
    }
}

extension CGIResponseHead {
    /// The value of the first field of that name, whatever its case.
    package func first(_ name: String) -> ByteBuffer? {
        for field in self.fields where ASCII.equalIgnoringCase(field.name.utf8, name.utf8) {
            return field.value
        }
        return nil
    }

    package func contains(_ name: String) -> Bool {
        self.fields.contains { ASCII.equalIgnoringCase($0.name.utf8, name.utf8) }
    }

    /// The value of `Content-Length`. A parsed head has at most one, and it is a number.
    package var contentLength: Int? {
        self.first("content-length").flatMap { ASCII.decimal($0.readableBytesView) }
    }

    /// Removes every field of that name, whatever its case.
    package mutating func remove(_ name: String) {
        self.fields.removeAll { ASCII.equalIgnoringCase($0.name.utf8, name.utf8) }
    }

    /// Adds a field behind all others. The caller vouches for name and value: nothing is checked here.
    package mutating func append(_ name: String, _ value: String) {
        self.fields.append(Field(name: name, value: ByteBuffer(string: value)))
    }

    /// Adds a field behind all others. The caller vouches for name and value: nothing is checked here.
    package mutating func append(_ name: String, _ value: ByteBuffer) {
        self.fields.append(Field(name: name, value: value))
    }

    /// Writes the head anew: `Status`, the fields in order, CRLF line ends, the empty line.
    package func encode(into buffer: inout ByteBuffer) {
        let reason = self.reason.isEmpty ? Self.standardReason(self.status) : self.reason
        var bound = 32 + reason.utf8.count
        for field in self.fields { bound += field.name.utf8.count + field.value.readableBytes + 4 }
        // One write: dozens of small ones would cost more than all the rest.
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { target in
            var writer = RawWriter(target: target)
            writer.write("Status: ")
            writer.write(String(self.status))
            if !reason.isEmpty {
                writer.write(" ")
                writer.write(reason)
            }
            for field in self.fields {
                writer.write("\r\n")
                writer.write(field.name)
                writer.write(": ")
                field.value.withUnsafeReadableBytes { writer.write($0) }
            }
            writer.write("\r\n\r\n")
            return writer.end
        }
    }

    /// The reason phrases of RFC 9110 §15 and RFC 6585; empty for a code that has none.
    package static func standardReason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 203: "Non-Authoritative Information"
        case 204: "No Content"
        case 205: "Reset Content"
        case 206: "Partial Content"
        case 300: "Multiple Choices"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 416: "Range Not Satisfiable"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 428: "Precondition Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }
}
