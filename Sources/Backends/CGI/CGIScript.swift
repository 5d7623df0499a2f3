import CGI
import CLinux
import Glibc

/// A script that was found: the directory it is run in, open, and its name there. Closes the directory at the end.
struct CGIScript: ~Copyable {
    let directory: CInt
    /// `./name`.
    let command: [CChar]
    /// How many of the path's components lead to the script; the rest is PATH_INFO.
    let componentCount: Int

    /// Finds the script below the root. Blocks for the file system.
    ///
    /// - Throws: `.notFound`; `.forbidden` for a path that leaves the root, by symbolic links too, for what is not
    ///   an executable file, and for one that everybody may write to; `.unavailable` where the root cannot be opened or descriptors have run out.
    init(_ path: CGIScriptPath, root: String) throws(BackendError) {
        let rootDescriptor = clinux_open_directory(root)
        guard rootDescriptor >= 0 else { throw BackendError(.unavailable, "the root cannot be opened: \(errno)") }
        defer { close(rootDescriptor) }

        let count = try Self.find(path, in: rootDescriptor)
        let parent = Self.join(path.components.prefix(count - 1))
        let directory = clinux_open_beneath(rootDescriptor, parent, O_DIRECTORY)
        guard directory >= 0 else { throw Self.error(errno) }
        self.directory = directory
        self.command = "./".utf8.map { CChar($0) } + path.components[count - 1].map { CChar(bitPattern: $0) } + [0]
        self.componentCount = count
    }

    deinit {
        close(self.directory)
    }

    private enum Kind {
        case executable
        case writableByAll
        case directory
        case other
    }

    private static func find(_ path: CGIScriptPath, in root: CInt) throws(BackendError) -> Int {
        let notFound: BackendError
        do throws(BackendError) {
            try self.check(self.kind(path.components[...], in: root))
            return path.components.count
        } catch {
            // What is not there may be a script followed by PATH_INFO; what is there but is no script, is not.
            guard path.mayEndEarlier, error.code == .notFound else { throw error }
            notFound = error
        }
        for count in 1..<max(1, path.components.count) {
            let kind = try self.kind(path.components.prefix(count), in: root)
            if kind == .directory { continue }
            try self.check(kind)
            return count
        }
        throw notFound
    }

    private static func check(_ kind: Kind) throws(BackendError) {
        switch kind {
        case .executable: break
        case .writableByAll: throw BackendError(.forbidden, "everybody may write to the script (chmod o-w)")
        case .directory, .other: throw BackendError(.forbidden, "the path is not an executable file")
        }
    }

    private static func kind(_ components: ArraySlice<[UInt8]>, in root: CInt) throws(BackendError) -> Kind {
        let descriptor = clinux_open_beneath(root, self.join(components), 0)
        guard descriptor >= 0 else { throw self.error(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw self.error(errno) }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .directory
        case S_IFREG where status.st_mode & 0o111 == 0: return .other
        case S_IFREG: return status.st_mode & S_IWOTH != 0 ? .writableByAll : .executable
        default: return .other
        }
    }

    private static func join(_ components: ArraySlice<[UInt8]>) -> [CChar] {
        guard !components.isEmpty else { return [CChar(bitPattern: UInt8(ascii: ".")), 0] }
        return components.joined(separator: [UInt8(ascii: "/")]).map { CChar(bitPattern: $0) } + [0]
    }

    private static func error(_ number: CInt) -> BackendError {
        switch number {
        case ENOENT, ENOTDIR, ENAMETOOLONG: BackendError(.notFound, "there is no such script")
        case EXDEV, ELOOP: BackendError(.forbidden, "the script's path leaves the root")
        case EACCES, EPERM: BackendError(.forbidden, "the script may not be read")
        default: BackendError(.unavailable, "the script cannot be opened: error \(number)")
        }
    }
}
