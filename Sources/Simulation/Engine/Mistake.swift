/// A deliberate bug, to show that the checker finds what it is there for: each leaves out or changes one step of the
/// protocol. The production code has no switch for it: commands, answers and outcomes are falsified on their way
/// between the state machine and the servers. Where a run shows none, the step may be there for nothing.
package enum Mistake: String, Sendable, CaseIterable {
    /// Promises are answered, not kept: accept without prepare.
    case noPrep
    /// Slow ballots do not outrank the fast ones of their round.
    case flatClass
    /// The fast save goes out although a holder has promised a higher ballot.
    case fastOverProm
    /// A load returns the highest copy that it meets, chosen or not.
    case noWriteback
    /// Two copies of one write count as agreeing, whatever their ballots.
    case verOnly
    /// A save says discarded as soon as it sees a rival.
    case earlyDiscard
    /// The walk copies the newest record with its old ballot.
    case copySync
    /// A server that came back empty votes "none".
    case amnesiaVote
    /// Promises are also taken from a server that has forgotten.
    case stubAmn
    /// A restarted server is called complete without a walk.
    case noWalk
    /// The walk does not wait until what was under way can no more be acknowledged.
    case noSettle
    /// A token is used on a connection that has not seen it.
    case tokReuse
    /// Servers write without looking at the token.
    case plainSet
    /// Of two copies a load returns the older one.
    case olderWins
    /// A destroyed session's item is deleted.
    case deleteTomb
    /// One copy is enough for an acknowledgement.
    case ackOne
    /// A degraded write takes the ballot of an ordinary one.
    case degFlat
    /// A seen absence is used on a connection that has not seen it.
    case absReuse
    /// A walk counts what a source listed that had itself just restarted.
    case noConfirm
    /// Tombstones live no longer than sessions.
    case shortTomb
    /// Each gateway works by the new ring as soon as it is configured with it.
    case ringDirect
    /// The new ring's servers are called complete before the sessions have been moved to them.
    case ringNoWalk
    /// A server's answers count however long ago it was asked for the state.
    case ringNoLease
    /// The next state follows as soon as enough servers have the one before.
    case ringNoBarrier
    /// The database puts any state over any other.
    case rowUnguarded
    /// The row of a destroyed session goes.
    case tombRowDropped
    /// A durable save is acknowledged before the database has it.
    case durableLater
    /// The row is not told that there is a newer state.
    case noMark
    /// The row is not told that another gateway may have something newer.
    case rivalIgnored
    /// What memcached could not be told is only known to the gateway that was there.
    case noWord
    /// What memcached has after too many servers have forgotten is not compared with the database.
    case oldCopies
    /// The reaper does not ask memcached.
    case reapUnasked
}
