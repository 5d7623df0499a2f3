import CFastCGIMemory

/// What libfcgi reads from and writes to during a call: never a descriptor.
///
/// libfcgi reads where it wants to, as much as it can get, and cannot be stopped half way. So it gets exactly the bytes that
/// the guard has passed; should it ever ask for more, it gets EAGAIN, which ends that request, instead of holding a
/// thread (L8–L10, L19).
enum LibraryMemory {
    /// Lets libfcgi read these bytes, one piece behind the other, as long as the body runs.
    /// - Returns: nil where libfcgi has left some of them.
    static func reading<Result>(
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer,
        _ body: () -> Result?
    ) -> Result? {
        var memory = cfastcgi_memory()
        memory.input.0 = .init(first)
        memory.input.1 = .init(second)
        let result = self.use(&memory, body)
        return memory.input.0.count == 0 && memory.input.1.count == 0 ? result : nil
    }

    /// Has libfcgi write to this memory as long as the body runs. What does not fit fails.
    /// - Returns: how much it has written.
    static func writing(to target: UnsafeMutableRawBufferPointer, _ body: () -> Void) -> Int {
        var memory = cfastcgi_memory()
        memory.output = target.bindMemory(to: UInt8.self).baseAddress
        memory.output_capacity = target.count
        self.use(&memory, body)
        return memory.output_count
    }

    private static func use<Result>(_ memory: inout cfastcgi_memory, _ body: () -> Result) -> Result {
        withUnsafeMutablePointer(to: &memory) { memory in
            cfastcgi_use_memory(memory)
            defer { cfastcgi_use_memory(nil) }
            return body()
        }
    }
}

extension cfastcgi_input {
    fileprivate init(_ bytes: UnsafeRawBufferPointer) {
        self.init(bytes: bytes.bindMemory(to: UInt8.self).baseAddress, count: bytes.count)
    }
}
