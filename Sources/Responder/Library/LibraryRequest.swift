import CFastCGI
import CFastCGIMemory
import CGI
import Glibc
import NIOCore

/// One request inside libfcgi, all of it in memory: a visitor's while its head and body are read, or the one by which
/// `LibraryWriter` makes records.
///
/// Whoever holds it calls `discard()` exactly once; no other method may follow. The library never has a descriptor, and
/// so closes none and waits for none (L7, L11–L13).
///
/// `@unchecked Sendable`: lives in the state of a connection, or in an event loop's writer, and is touched only on that
/// event loop.
struct LibraryRequest: @unchecked Sendable {
    let raw: UnsafeMutablePointer<FCGX_Request>

    /// Lets libfcgi parse a head that the guard has passed. Inside of `LibraryMemory.reading`.
    /// - Returns: nil where libfcgi does not agree with the guard.
    static func accept() -> LibraryRequest? {
        let raw = UnsafeMutablePointer<FCGX_Request>.allocate(capacity: 1)
        FCGX_InitRequest(raw, -1, 0)
        raw.pointee.ipcFd = Int32(CFASTCGI_NO_DESCRIPTOR)
        // Preset, because FCGX_Accept_r begins by finishing a request before this one, and would close the descriptor.
        raw.pointee.keepConnection = 1
        // A closed descriptor is not lingered on.
        raw.pointee.detached = 1
        guard FCGX_Accept_r(raw) == 0 else {
            raw.deallocate()
            return nil
        }
        let request = LibraryRequest(raw: raw)
        // FCGX_Accept_r also returns 0 for parameters that were cut off.
        guard FCGX_GetError(raw.pointee.in) == 0 else {
            request.discard()
            return nil
        }
        return request
    }

    /// The parameters, one pair per name: see `ParameterBuilder`.
    /// - Parameter byteCount: at least that of the pairs as they came in.
    func parameters(atMost byteCount: Int, repeated: inout Int) -> Parameters {
        // The first entry is FCGI_ROLE, which the library itself adds.
        let builder = ParameterBuilder(UnsafePointer(self.raw.pointee.envp + 1), atMost: byteCount)
        repeated = builder.repeatedCount
        return builder.parameters
    }

    /// Reads exactly so many bytes of the body. Inside of `LibraryMemory.reading`.
    /// - Returns: whether they were there.
    func readBody(_ count: Int, into buffer: inout ByteBuffer) -> Bool {
        let read = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            Int(FCGX_GetStr(target.bindMemory(to: CChar.self).baseAddress, Int32(count), self.raw.pointee.in))
        }
        return read == count && FCGX_GetError(self.raw.pointee.in) == 0
    }

    /// Reads the end of the body. Inside of `LibraryMemory.reading`.
    /// - Returns: whether it was a clean one.
    func endBody() -> Bool {
        var byte: CChar = 0
        return FCGX_GetStr(&byte, 1, self.raw.pointee.in) == 0 && FCGX_GetError(self.raw.pointee.in) == 0
    }

    /// Frees everything that the library holds for this request.
    func discard() {
        FCGX_Free(self.raw, 0)
        self.raw.deallocate()
    }
}
