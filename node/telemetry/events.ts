/**
 * Every event that Lessor reports, declared once: its log line, its counter and its documentation
 * all come from this table. State machines return occurrences; only the telemetry room writes them.
 */

export interface EventDefinition {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** What happened, as the log line's message. */
  readonly message: string;
  /** What an operator should do, or why nothing needs doing. */
  readonly action: string;
}

export const EVENTS = {
  'lease.granted': { level: 'info', message: 'lease granted', action: 'None.' },
  'lease.renewed': { level: 'info', message: 'lease renewed', action: 'None.' },
  'lease.released': { level: 'info', message: 'lease released by its client', action: 'None.' },
  'lease.declined': {
    level: 'warn', message: 'address declined by its client as in use',
    action: 'Find the host that uses the address without a lease. The address is abandoned: it is used again only when nothing else is free.',
  },
  'lease.expired': { level: 'info', message: 'lease ended', action: 'None.' },
  'dhcp.inform': { level: 'info', message: 'parameters sent to a client that has an address of its own', action: 'None.' },
  'dhcp.nak': {
    level: 'info', message: 'request refused with a DHCPNAK',
    action: 'None for clients that moved. Many from one subnet: look for a second DHCP server or a relay with a wrong address.',
  },
  'dhcp.refused': {
    level: 'info', message: 'message refused without an answer',
    action: 'None for single ones. Many of them: look for the client by its hardware address, it may forge releases.',
  },
  'dhcp.decline-flood': {
    level: 'warn', message: 'a client declines address after address; its declines are ignored',
    action: 'Look for the client by its hardware address: a fault in it, an ARP proxy or an attack would empty the pool. Reported once a minute for a network at most, with how many declines of all its clients were ignored since.',
  },
  'pool.exhausted': {
    level: 'warn', message: 'no free address left for a client',
    action: 'Enlarge the pool or shorten the lease time. Reported once a minute for a network at most.',
  },
  'rogue-server': {
    level: 'warn', message: 'clients choose a DHCP server that is no node of this cluster',
    action: 'Find it by its address on the link of `interface` or `relay` (`lessor doctor` shows its hardware address) and switch it off, or let the switches block it (DHCP snooping). One that is meant to be there goes into `knownServers`. Told when a second exchange names it, and every ten minutes for a server at most.',
  },
  'client.identifier-conflict': {
    level: 'warn', message: 'one client identifier is used by two hardware addresses',
    action: 'Cloned machines share an identifier and so a lease. Give each its own, or set `identity: hardware` for their subnet or class. Reported once a minute for a client at most.',
  },
  'client.quarantined': {
    level: 'info', message: 'a client in quarantine asks for an address and gets none',
    action: 'None: `lessor quarantine list` says since when, until when and why. Reported once a minute for a client at most.',
  },
  'quarantine.lease-ended': {
    level: 'info', message: 'a lease was ended by a quarantine, or by its end',
    action: 'None. The client does not know: its address goes to nobody else until the lease that it goes by has ended.',
  },
  'leasequery.listening': { level: 'info', message: 'LEASEQUERY over TCP is answered', action: 'None.' },
  'leasequery.failed': {
    level: 'error', message: 'LEASEQUERY over TCP is not answered',
    action: 'Look at the error: another process may hold the port (`leasequery.listen`). It is tried again by itself; DHCP clients and LEASEQUERY over UDP are not concerned.',
  },
  'http.failed': {
    level: 'error', message: 'an HTTP request failed inside the node',
    action: 'DHCP clients are not concerned. Report the line with the version: it is a mistake in Lessor.',
  },
  'node.state': { level: 'info', message: 'node state changed', action: 'RECOVER, COMMUNICATIONS-INTERRUPTED and PARTNER-DOWN that last need a look at the other nodes; ISOLATED at the network.' },
  'view.adopted': { level: 'info', message: 'new view adopted', action: 'None.' },
  'view.finished': { level: 'info', message: 'view finished: all slots given by it are served', action: 'None.' },
  'view.written': { level: 'info', message: 'new view written', action: 'None; the reason says what happened to which node.' },
  'view.left': { level: 'warn', message: 'this node is no longer in the view', action: 'It rejoins by itself. If it happens again, look at its load, disk and links.' },
  'leader.elected': { level: 'info', message: 'this node leads', action: 'None.' },
  'link.up': { level: 'info', message: 'link up', action: 'None.' },
  'link.down': { level: 'warn', message: 'link down', action: 'Look at the network between the nodes if it lasts; changes travel through etcd meanwhile.' },
  'link.refused-hello': { level: 'error', message: 'peer refused: another cluster or another name', action: 'Compare cluster name and node ids in the configurations.' },
  'drain.begun': { level: 'info', message: 'this node leaves service and stays out: an operator wants it so', action: 'None; lessor undrain brings it back.' },
  'drain.not-obeyed': {
    level: 'warn', message: 'this node is to be drained, but no other one would be left in service: it serves on',
    action: 'Bring another node into service, and this one leaves by itself; or take the order back with lessor undrain.',
  },
  'drain.ended': { level: 'info', message: 'this node is wanted in service again', action: 'None.' },
  'drain.given-up': {
    level: 'warn', message: 'the process ends although the node is still in the view',
    action: 'The others take over within a session TTL and a second, if they reach etcd. Before a restart look at lessor status: etcd must be reachable and the links up; lessor drain NODE waits until the node is out.',
  },
  'protocol.changed': { level: 'info', message: 'another protocol version is in force', action: 'None: it follows the nodes in the view, the highest that all of them speak.' },
  'protocol.refused': {
    level: 'error', message: 'this node is not let in: it shares no protocol version with all members of the view',
    action: 'Start a version of Lessor here that speaks one that all members speak (lessor status shows which), or take back cluster.protocolMax or cluster.protocolMin in the node.yaml that rules it out. Until then this node serves nobody; the others are not concerned.',
  },
  'protocol.peer-refused': {
    level: 'error', message: 'a node is not let in: no protocol version is shared by it and all members of the view',
    action: 'As for protocol.refused, on the node that is named. This node serves on.',
  },
  'inbox.gap': { level: 'error', message: 'changes are missing before those that lie in the inbox', action: 'The node catches up over the link; if the event repeats, restart it so that it recovers.' },
  'cluster.clock-difference': { level: 'error', message: 'the clock of a peer differs by more than maxClockSkew', action: 'Repair time synchronisation on the node that is wrong; it is not let into the view until then.' },
  'cluster.clock-refused': { level: 'error', message: 'a peer refuses changes because the clocks differ by more than maxClockSkew', action: 'Repair time synchronisation on the node that is wrong.' },
  'clock.stepped': { level: 'warn', message: 'the wall clock stepped', action: 'Nothing is committed until it agrees with every member; look at the time service.' },
  'cluster.rolled-back': { level: 'error', message: 'a peer has changes of this node that it does not know of: its memory or disk went back in time', action: 'The node recovers from the others by itself. Do not restore snapshots of a running node.' },
  'cluster.view-unreadable': { level: 'error', message: 'the view in etcd cannot be read', action: 'A newer version wrote it, or something else did: upgrade this node or look at the key.' },
  'cluster.no-view-but-data': { level: 'error', message: 'etcd holds no view, but a node has data: etcd has lost its contents', action: 'No node goes on by itself. deploy/runbooks/etcd-lost-its-data.md says how to choose the node with the newest leases, and what to do there.' },
  'cluster.unfit': { level: 'error', message: 'this disk is not the one that the view was made with: the node cannot go on alone', action: 'Start the other nodes of the view; this one then recovers from them. If they are gone for good: deploy/runbooks/all-members-gone.md.' },
  'operator.command': { level: 'warn', message: 'an operator has used a last resort', action: 'None: for the record of who did what. Where it was not accepted, nothing was changed.' },
  'operator.operation': { level: 'info', message: 'an operator has given a command', action: 'None: the audit log (`lessor audit`) has it, unless `inAuditLog` is false.' },
  'audit.full': {
    level: 'warn', message: 'the audit log is full: the oldest entries make room before their time',
    action: 'Copy what you are to keep elsewhere (`lessor audit --json`). Look at what gives so many commands: a script that repeats itself fills it. Reported once an hour at most; lessor_audit_entries_replaced_total counts.',
  },
  'api.token-exposed': {
    level: 'error', message: 'a token of the API went over the network in the clear: it was refused, and others may have it',
    action: 'Take it out of the file of tokens on every node at once (`lessor token revoke`), make a new one, and have whoever used it ask by https (`http.tls`). An empty `token` is one that this node does not know.',
  },
  'api.tokens-unusable': {
    level: 'error', message: 'tokens of the API cannot be read from their file: those that `problem` names let nobody in',
    action: 'Correct the file; it is looked at every two seconds. DHCP clients are not concerned.',
  },
  'api.tokens-exposed': { level: 'warn', message: 'every user of the host may read or write the file of the API\'s tokens', action: 'chmod 600, owned by the user of the node: who can write it can give himself any role.' },
  'control.unavailable': { level: 'error', message: 'the control socket cannot be opened: lessor recover and lessor partner-down do not reach this node', action: 'Clients are served all the same. Do what the error says, and restart the node.' },
  'cluster.generation': { level: 'warn', message: 'a new generation has begun by an operator\'s word', action: 'None: until `probeUntil` (UTC seconds) addresses are probed before they are given out. Where `inEtcd` is false, what was declared to be off stays off until cluster.generation-written.' },
  'cluster.generation-written': { level: 'info', message: 'etcd holds the generation that an operator has begun', action: 'None: nodes of the older one recover by themselves when they are started.' },
  'cluster.generation-refused': { level: 'warn', message: 'the generation that an operator has asked for was not begun', action: 'The reason says why; nothing was changed.' },
  'cluster.older-generation': { level: 'warn', message: 'another node is of a newer generation: this one serves nobody until it has recovered from it', action: 'None, if that node serves and reaches etcd; else deploy/runbooks/all-members-gone.md.' },
  'cluster.cold-start': { level: 'warn', message: 'no member is left: restarted nodes go on with their disks', action: 'None.' },
  'etcd.went-back': { level: 'error', message: 'etcd shows less than it did: it was restored from a backup, emptied or replaced, and counts for nothing', action: 'Nodes in service go on over their links. deploy/runbooks/etcd-went-back.md says how to give etcd what they hold (lessor recover --force).' },
  'etcd.right-one': { level: 'info', message: 'the etcd that was there before answers again, and counts', action: 'None; look into cluster.etcd and the names in it, if this was not expected.' },
  'etcd.unreachable': { level: 'warn', message: 'etcd does not answer', action: 'Commits go on while all links are up; no node can be replaced until etcd is back.' },
  'etcd.reachable': { level: 'info', message: 'etcd answers again', action: 'None.' },
  'recover.fetch': { level: 'info', message: 'fetching what changed', action: 'None.' },
  'recover.fetched': { level: 'info', message: 'what changed is fetched; following the logs', action: 'None.' },
  'history.copying': { level: 'info', message: 'the history of leases lacks what ended while this node was away; it is copied from a member', action: 'None: lessor history says until then what is missing.' },
  'history.copied': { level: 'info', message: 'the history of leases is complete again', action: 'None: it goes back to `since` (UTC seconds).' },
  'store.failed': { level: 'error', message: 'the lease store cannot be written', action: 'Free space or repair the disk; nothing is acknowledged until then, and the write is tried again.' },
  'config.prepared': { level: 'info', message: 'a new revision of the configuration is ready here', action: 'None: it comes into force when every node of the view has it ready.' },
  'config.applied': { level: 'info', message: 'another revision of the configuration is in force', action: 'None.' },
  'config.refused': { level: 'error', message: 'a new configuration cannot be used here: the one in force stays', action: 'Correct it and apply it again, or lessor config rollback; a node of an earlier version wants an upgrade first.' },
  'config.unreadable': { level: 'warn', message: 'a revision of the configuration cannot be read from etcd', action: 'It is tried again. If etcd lacks a part of it, apply the configuration again.' },
  'config.missing': { level: 'error', message: 'the view names a revision of the configuration that is not ready here: this node serves nobody until it is', action: 'None, if it passes within seconds; else look at config.refused and config.unreadable.' },
  'config.not-from-file': { level: 'warn', message: 'SIGHUP changes nothing here: the configuration of a cluster lies in etcd', action: 'Use lessor config apply.' },
  'privileges.kept': {
    level: 'warn', message: 'the process has more privileges than it needs and cannot give them up',
    action: 'Look at the error: what runs the process, such as a system call filter, does not let it. Start it without them, as deploy/systemd does.',
  },
  'privileges.missing': {
    level: 'warn', message: 'the process lacks a privilege that it can do without',
    action: 'Without CAP_NET_ADMIN answers to clients that have no address yet are broadcast, and socket buffers are no larger than net.core.rmem_max. Give it to the process, unless that was meant.',
  },
  'node.started': { level: 'info', message: 'node started', action: 'None.' },
  'node.stopped': { level: 'info', message: 'node stopped', action: 'None.' },
  'link.rejected': {
    level: 'warn', message: 'a node is not wanted here, or does not want this one',
    action: 'Compare cluster name, node ids and `cluster.tls` in the configurations; where it is about certificates, `lessor config check` on both hosts. While a cluster is moved to TLS it is to be expected (deploy/runbooks/certificates.md). The same reason is told once a minute at most; `lessor_links_refused_total` counts all.',
  },
  'link.unsecured': { level: 'warn', message: 'a link is in the clear though this node has certificates', action: 'Go on moving the cluster to TLS: the peer has no `cluster.tls` yet. Then take `cluster.tls.optional` out of every node.yaml.' },
  'certificate.changed': { level: 'info', message: 'a renewed certificate, key or authority is used for new connections', action: 'None.' },
  'certificate.unusable': {
    level: 'error', message: 'files of TLS cannot be used: those from before stay in use, if there are any',
    action: 'Do what `problem` says (`lessor config check node.yaml` shows it again); corrected files are taken up by themselves. deploy/runbooks/certificate-expires.md.',
  },
  'certificate.key-exposed': { level: 'warn', message: 'a private key may be used by every user of the host', action: 'chmod 600, owned by the user of the node. If others have used the host, issue a new certificate.' },
  'dhcp.interfaces': { level: 'info', message: 'DHCP interfaces changed', action: 'None, if it was meant; without one the node serves nobody and its slots go to the others.' },
  'address.in-use': {
    level: 'warn', message: 'somebody without a lease uses an address of a pool',
    action: 'Find the host (`usedBy`, where it is on the same segment). The address is abandoned: it is used again only when nothing else is free.',
  },
  'probe.unable': {
    level: 'warn', message: 'addresses cannot be probed before they are offered',
    action: 'Give the process CAP_NET_RAW, or set the conflict check to none; until then such addresses are offered unchecked.',
  },
  'dns.keys-changed': { level: 'info', message: 'a changed file of DNS keys is used from now on', action: 'None.' },
  'dns.keys-unusable': {
    level: 'error', message: 'a file of DNS keys cannot be used: its keys from before stay in use, if there are any',
    action: 'Do what `problem` says (`lessor config check node.yaml` shows it again); a corrected file is taken up by itself. Updates of zones with a key that is missing wait for it.',
  },
  'dns.key-exposed': { level: 'warn', message: 'a DNS key may be used by every user of the host', action: 'chmod 600, owned by the user of the node. If others have used the host, make a new key (tsig-keygen) and give it to the name servers and to all nodes.' },
  'dns.zone-failing': {
    level: 'error', message: 'a DNS zone cannot be changed: names of clients wait',
    action: 'Look at `reason`: the name servers of the zone must be reachable from every node, take updates for it, and know the key (deploy/runbooks/dns-zone-failing.md). DHCP clients are not concerned; what waits is done by itself.',
  },
  'dns.zone-recovered': { level: 'info', message: 'a DNS zone takes changes again', action: 'None: what waited is done now.' },
  'dns.conflict': {
    level: 'warn', message: 'the name of a client is somebody else\'s in DNS and stays theirs',
    action: 'Rename one of the two, or take the old entry out of the zone; the client gets the name when it begins its next lease, or with lessor dns resync.',
  },
  'dns.refused': {
    level: 'warn', message: 'a name server refuses an entry, while it takes others of the zone',
    action: 'Look at the update policy of the zone, and at the server\'s log. Once it is mended, lessor dns resync tries it again.',
  },
  'dhcp.socket-failed': { level: 'error', message: 'a DHCP socket failed', action: 'Look at the interface; the node goes on trying.' },
} as const satisfies Record<string, EventDefinition>;

export type EventId = keyof typeof EVENTS;

export interface Occurrence {
  readonly id: EventId;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}
