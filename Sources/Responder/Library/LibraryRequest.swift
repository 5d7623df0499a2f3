import CFastCGI
import CGI
import Glibc
import NIOCore

/// One request inside libfcgi.
///
/// Whoever holds it calls `discard()` exactly once; no other method may follow. The library never closes the
/// connection's descriptor and never waits for it (L7, L11–L13, L24).
///
/// `@unchecked Sendable`: lives in its connection's state and is touched only under that connection's lock.
struct LibraryRequest: @unchecked Sendable {
    /// What fits into libfcgi's output buffer (8,192 bytes) together with a record's header, its padding and the
    /// records that end the request: so much leaves in one write.
    static let bufferedOutputLimit = 8_136

    private let raw: UnsafeMutablePointer<FCGX_Request>
    private let descriptor: Int32

    /// Lets libfcgi parse a head that the guard has passed and that is in the pipe.
    /// - Parameter descriptor: the connection to answer on.
    /// - Returns: nil where libfcgi does not agree with the guard.
    static func accept(from pipe: FeedPipe, descriptor: Int32) -> LibraryRequest? {
        let raw = UnsafeMutablePointer<FCGX_Request>.allocate(capacity: 1)
        FCGX_InitRequest(raw, -1, 0)
        raw.pointee.ipcFd = pipe.readEnd
        // Preset, because FCGX_Accept_r begins by finishing a request before this one, and would close the descriptor.
        raw.pointee.keepConnection = 1
        // A closed descriptor is not lingered on.
        raw.pointee.detached = 1
        raw.pointee.appStatus = 0
        guard FCGX_Accept_r(raw) == 0 else {
            // The library has closed the descriptor that it was given.
            pipe.renew(readEndIsClosed: true)
            raw.deallocate()
            return nil
        }
        let request = LibraryRequest(raw: raw, descriptor: descriptor)
        // FCGX_Accept_r also returns 0 for parameters that were cut off.
        guard FCGX_GetError(raw.pointee.in) == 0 else {
            pipe.renew()
            request.discard()
            return nil
        }
        raw.pointee.ipcFd = descriptor
        return request
    }

    /// The parameters: of repeated HTTP_COOKIE values one, joined by "; "; of any other name the last value, as a
    /// repeated `fastcgi_param` works with php-fpm.
    func parameters(repeated: inout Int) -> Parameters {
        var builder = ParameterBuilder()
        // The first entry is FCGI_ROLE, which the library itself adds.
        var entry = raw.pointee.envp + 1
        while let pair = entry.pointee {
            builder.append(pair)
            entry += 1
        }
        repeated = builder.repeatedCount
        return builder.parameters
    }

    /// Reads exactly so many bytes of the body, all of which are in the pipe.
    /// - Returns: whether they were there.
    func readBody(_ count: Int, from pipe: FeedPipe, into buffer: inout ByteBuffer) -> Bool {
        self.raw.pointee.ipcFd = pipe.readEnd
        defer { self.raw.pointee.ipcFd = self.descriptor }
        let read = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            Int(FCGX_GetStr(target.bindMemory(to: CChar.self).baseAddress, Int32(count), self.raw.pointee.in))
        }
        return read == count && FCGX_GetError(self.raw.pointee.in) == 0
    }

    /// Reads the end of the body, which is in the pipe, and gives back the input buffer.
    /// - Returns: whether it was a clean one.
    func endBody(from pipe: FeedPipe) -> Bool {
        self.raw.pointee.ipcFd = pipe.readEnd
        defer { self.raw.pointee.ipcFd = self.descriptor }
        var byte: CChar = 0
        guard FCGX_GetStr(&byte, 1, self.raw.pointee.in) == 0, FCGX_GetError(self.raw.pointee.in) == 0 else {
            return false
        }
        // 8 KB that a request waiting for its backend need not hold.
        FCGX_FreeStream(&self.raw.pointee.in)
        return true
    }

    /// Puts a piece of the response into libfcgi's buffer. All pieces together are at most `bufferedOutputLimit`.
    func put(_ bytes: ByteBuffer) {
        bytes.withUnsafeReadableBytes { source in
            _ = FCGX_PutStr(source.bindMemory(to: CChar.self).baseAddress, Int32(source.count), self.raw.pointee.out)
        }
    }

    /// Sends what is in the buffer.
    /// - Returns: whether the peer took it.
    func flush() -> Bool {
        FCGX_FFlush(self.raw.pointee.out) == 0
    }

    /// Sends what is in the buffer, the end of both streams and FCGI_END_REQUEST.
    /// - Returns: whether the peer took it.
    func end() -> Bool {
        let errors = FCGX_FClose(self.raw.pointee.err)
        let output = FCGX_FClose(self.raw.pointee.out)
        return errors == 0 && output == 0
    }

    /// Frees everything that the library holds for this request.
    func discard() {
        FCGX_Free(self.raw, 0)
        self.raw.deallocate()
    }
}
