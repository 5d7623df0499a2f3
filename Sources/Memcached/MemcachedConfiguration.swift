/// The limits of one connection to a memcached, and of the way back to it.
package struct MemcachedConfiguration: Sendable {
    /// From the attempt to the established connection, name resolution included.
    package var connectTimeout: Duration = .milliseconds(250)
    /// From `send` to the answer. A connection that misses it is closed.
    package var operationTimeout: Duration = .milliseconds(100)
    /// How long a connection may be idle before a no-op checks that the server still answers.
    package var heartbeatInterval: Duration = .seconds(1)
    /// Commands without an answer per connection; more are refused with `.queueFull`.
    package var maximumCommandsInFlight = 1_024
    /// Bytes of the values of writes without an answer per connection; a write beyond is refused with `.queueFull`,
    /// unless it is the only one.
    package var maximumBytesInFlight = 64 << 20
    /// The longest value that is accepted from a server; a longer one closes the connection.
    package var maximumValueLength = 32 << 20
    /// Whether the server is another program's, and is only read: then it may be any that knows meta commands (1.6), and
    /// may run without CAS.
    package var isReadOnly = false
    package var reconnect = ServerHealth.Policy()

    package init() {}
}
