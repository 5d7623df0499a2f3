extension GatewayConfiguration {
    /// A socket on which nginx reaches the gateway.
    package struct Listener: Sendable, Equatable {
        package var address: Address = .unix(path: "/run/session-gateway/gateway.sock")
        /// The permission bits of a unix socket; 0 where the address is not one.
        package var mode: UInt32 = 0o660
        /// The group of a unix socket; absent: the process's own.
        package var group: String?
        /// Who may connect by TCP. Empty: everybody who can reach the address, which is loopback then.
        package var allowedClients: [IPRange] = []

        package init() {}

        package init(address: Address) {
            self.address = address
        }
    }
}
