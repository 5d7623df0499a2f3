/// Which program's ring decides where a session lives, so that a deployment finds its sessions where they are.
package enum RingKind: String, Sendable, CaseIterable {
    /// libmemcached `KETAMA_WEIGHTED`, php-memcached `sess_consistent_hash_type=ketama_weighted`. The default.
    case ketamaWeighted = "ketama_weighted"
    /// libmemcached `KETAMA` with its default hash; weights are ignored. The default of php-memcached's sessions.
    case ketama = "ketama"
    /// PHP's memcache extension, `hash_strategy=consistent`, `hash_function=crc32` (its default), as for plain keys.
    case peclCRC32 = "pecl_crc32"
    /// The same with `hash_function=fnv`.
    case peclFNV = "pecl_fnv"
    /// FlexiHash 1–3 with its CRC-32.
    case flexihash = "flexihash"
}
