/**
 * Every bound of the program by name, with what happens past it. Units last.
 */

// ── operators ───────────────────────────────────────────────────────────────────────────────────

/** The text of a note; one that does not fit is refused. A section of a record has at most 65,535 bytes. */
export const NOTE_BYTES_MAX = 8192;

/** Why an operator does something, as it is written down; a longer text is refused. */
export const OPERATION_REASON_CHARACTERS_MAX = 500;

/** What an operation is given; a longer body is refused. */
export const OPERATION_BODY_BYTES_MAX = 16_384;

/** Of each text of an entry of the audit log; what is longer is cut off. */
export const AUDIT_TEXT_CHARACTERS_MAX = 500;

/** How long an entry of the audit log is kept: a year. */
export const AUDIT_SECONDS = 365 * 86_400;

/** Changes in etcd that wait there to be written into the audit log, read at once; the others follow. */
export const AUDIT_ORDERS_PER_READ_MAX = 32;

/** What a node has to say of itself in the audit log while it cannot; past it an event alone tells of it. What was not written is tried again after so long. */
export const AUDIT_PENDING_MAX = 64;
export const AUDIT_RETRY_MS = 5000;

/** Changes that operators have asked for and that are under way; past it they are refused. */
export const OPERATOR_CHANGES_MAX = 256;

// ── links between the nodes ─────────────────────────────────────────────────────────────────────

/** Queued to one peer and not yet taken by the operating system; past it the link is reset. */
export const LINK_BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

/** One message on a link; a larger one ends the stream. */
export const LINK_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Connections to the listening port of the links, probes included; past it new ones are closed. */
export const LINK_CONNECTIONS_MAX = 64;

/** A connection to the links' port on which no link begins is closed after this time. */
export const LINK_CONNECTION_IDLE_MS = 5000;

/** How long a closing node waits until its peers have what was sent to them. */
export const LINK_CLOSE_MS = 500;

/** Offers that are told to the next owner of their addresses, the newest; the others are forgotten. */
export const HANDED_OFFERS_MAX = 8192;

/** How long a node that leaves goes on answering clients to whom it has made an offer. */
export const DRAIN_LAST_REQUESTS_MS = 500;

/** A node that is asked to stop and cannot leave in good order ends after so long: the others evict it when its process is gone. */
export const DRAIN_MS_MAX = 8000;

/** How long a member that is to be drained may take to leave by itself; past it the leader evicts it. */
export const DRAIN_ORDER_MS_MAX = 10_000;

/** Why a node is drained; a longer text is cut off. */
export const DRAIN_REASON_CHARACTERS_MAX = 500;

/**
 * Changes of a node's own that are not committed yet, as while its disk is full: past it the node answers nobody
 * until some are. Each is kept in memory.
 */
export const UNCOMMITTED_CHANGES_MAX = 65_536;

// ── etcd ────────────────────────────────────────────────────────────────────────────────────────

/** Requests to etcd under way at once; past it the outcome is `unknown` at once. */
export const ETCD_REQUESTS_MAX = 1024;

/** One item of an inbox; the rest goes into the next one. etcd takes requests up to 1.5 MiB. */
export const INBOX_ITEM_BYTES_MAX = 1024 * 1024;

/** Records of changes in one message that may have to go through an inbox; the rest goes into the next one. */
export const CHANGES_BYTES_MAX = 512 * 1024;

/** One answer of etcd; a larger one makes the outcome `unknown`: read in pages. */
export const ETCD_ANSWER_BYTES_MAX = 64 * 1024 * 1024;

// ── the DHCP server ─────────────────────────────────────────────────────────────────────────────

/** Relay hops of a request (RFC 1542 §4.1.1 lets a relay give up there); past it the packet is dropped. */
export const RELAY_HOPS_MAX = 16;

/** Clients remembered as asking without an answer; past it the one in the same place is forgotten. */
export const FIRST_SEEN_ENTRIES = 8192;

/** A client that was silent for longer begins to wait anew (retransmissions follow after 4, 8, 16 s). */
export const FIRST_SEEN_GAP_MS = 20_000;

/** Parameter request lists whose option lists are kept ready; past it they are made again. */
export const OPTION_LISTS_CACHED = 512;

/** The longest parameter request list that is kept ready; a longer one costs what it costs. */
export const PARAMETER_REQUEST_LIST_CACHED_BYTES_MAX = 64;

/** Combinations of client classes kept ready; past it all are forgotten and made again as they come. */
export const CLASS_SETS_MAX = 4096;

/** Numbers of pools kept ready, in lists by subnet and client classes that count as 16 more; past it all are made again as they come. */
export const POOL_CHOICES_CACHED_MAX = 524_288;

/** A copy of a request is the same transaction for this long; later it is a new one. */
export const SAME_TRANSACTION_SECONDS = 5;

/** How long a forwarded change is taken to be under way; as long as a commit may take. */
export const FORWARDED_UNDER_WAY_MS = 3000;

/** Forwarded changes remembered as under way; past it the oldest is forgotten, its copies ask again. */
export const FORWARDED_UNDER_WAY_MAX = 4096;

/** DHCPDISCOVERs that wait for another owner to allocate; past it the oldest is dropped and counted. */
export const ALLOCATIONS_PENDING_MAX = 1024;

/**
 * DHCPDISCOVERs that wait until it is known whether an address is in use, and probes under way; past it a
 * DHCPDISCOVER is dropped as `overload`, a probe ends unasked and is counted as unable. One by ICMP on the
 * node's own segment takes an entry of the kernel's neighbour table, which has room for 512 of them by default.
 */
export const PROBES_PENDING_MAX = 384;

/** Addresses found in use for one DHCPDISCOVER; past it it is dropped as `addresses-in-use`. */
export const PROBES_IN_USE_PER_DISCOVER_MAX = 3;

/** Addresses remembered as found free; past it the one found first is forgotten, and probed again. */
export const PROBED_FREE_MAX = 65_536;

/** Leases that one turn ends; the others follow in the next turns. */
export const LEASES_ENDED_PER_TICK_MAX = 256;

/** What classes, scope and reservation make of a reply's content, kept ready; past it all is worked out again. */
export const TERMS_CACHED_MAX = 16_384;

/** Events about one client are repeated this often at most; clients remembered for that. */
export const REPORT_AGAIN_MS = 60_000;
export const REPORTED_ENTRIES = 4096;

/** A network that is out of addresses is reported this often at most. */
export const POOL_EXHAUSTED_EVENT_MS = 60_000;

/**
 * Clients, relays and declining clients whose buckets are kept, each a power of two; past it the bucket that
 * lacks least is forgotten, in the client's favour. 20 bytes each, only where the limit is set.
 */
export const FLOOD_CLIENTS_MAX = 65_536;
export const FLOOD_RELAYS_MAX = 4096;
export const FLOOD_DECLINING_CLIENTS_MAX = 8192;

/** A network whose clients decline too much is reported this often at most. */
export const DECLINE_FLOOD_EVENT_MS = 60_000;

/**
 * Servers outside the cluster that clients name: so many are remembered; past it the one that was named longest ago is
 * forgotten, or, where all were just reported, a new one is not taken up. Reported is one that is named again after
 * ROGUE_SUSPECTED_MS_MIN and within ROGUE_SUSPECTED_MS_MAX, and not again before ROGUE_REPORT_AGAIN_MS.
 */
export const ROGUE_SERVERS_MAX = 64;
export const ROGUE_SUSPECTED_MS_MIN = 10_000;
export const ROGUE_SUSPECTED_MS_MAX = 3_600_000;
export const ROGUE_REPORT_AGAIN_MS = 600_000;

/** Addresses of relays remembered as no servers' own; past it the one that came first is forgotten. */
export const ROGUE_RELAYS_MAX = 4096;

// ── DHCP sockets ────────────────────────────────────────────────────────────────────────────────

/** Port of the servers and relays (RFC 2131 §4.1). */
export const DHCP_SERVER_PORT = 67;

/** A packet from or to the network; a longer one is dropped as `too-long` or `send-failed`. */
export const DHCP_PACKET_BYTES_MAX = 4096;

/** What waits in one socket, in the kernel's count, which charges about 1 KiB a packet; past it the kernel drops. */
export const DHCP_SOCKET_RECEIVE_BYTES = 4 * 1024 * 1024;
export const DHCP_SOCKET_SEND_BYTES = 1024 * 1024;

/** Packets of one system call. */
export const DHCP_RECEIVE_BATCH_PACKETS = 64;
export const DHCP_SEND_BATCH_PACKETS = 64;

/** Answers that leave at once, and the pause before the next: a relay's socket buffer holds about 200 packets. */
export const SEND_BURST_PACKETS = 24;
export const SEND_BURST_PAUSE_MS = 1;

/** Answers that wait for their burst; past it they are dropped as `overload`. */
export const SEND_QUEUE_PACKETS_MAX = 16_384;

/** Read from one socket in a turn of the event loop; the rest waits for the next turn. */
export const DHCP_TURN_PACKETS_MAX = 512;

/** Discarded from one socket at once; only a flood that comes in faster than it is discarded gets past it. */
export const DHCP_DISCARDED_PACKETS_MAX = 262_144;

/** From a packet's reading to its answer's sending; an older answer is dropped as `stale`. */
export const REPLY_AGE_MS_MAX = 5000;

/** Between two looks at the interfaces. */
export const INTERFACE_POLL_MS = 1000;

/** Of what a client says of itself (options 12 and 60) so much is kept with its binding; the rest is cut off. */
export const KEPT_OPTION_BYTES_MAX = 255;

// ── probes of addresses ─────────────────────────────────────────────────────────────────────────

/** Between two looks for answers, while a probe is under way. */
export const PROBE_POLL_MS = 10;

/** Read from one socket at such a look; the rest waits for the next one. */
export const PROBE_POLL_PACKETS_MAX = 4096;

/** What waits in one socket between two looks: about 600 packets; past it the kernel drops. */
export const PROBE_SOCKET_RECEIVE_BYTES = 256 * 1024;

// ── HTTP ────────────────────────────────────────────────────────────────────────────────────────

/** Connections to the HTTP port at once; past it new ones are closed. */
export const HTTP_CONNECTIONS_MAX = 64;

/** A connection on which nothing moved for so long is closed: a reader that stopped reading. */
export const HTTP_IDLE_MS_MAX = 60_000;

/** A request must be in by then. */
export const HTTP_REQUEST_MS_MAX = 10_000;

/** Who gives a command on the control socket, and the name of a node in it; a longer one is refused. */
export const CONTROL_CALLER_CHARACTERS_MAX = 256;

// ── the configuration and the options ───────────────────────────────────────────────────────────

/** A configuration file; a longer one is refused unread. */
export const CONFIG_BYTES_MAX = 64 * 1024 * 1024;

/** One piece of a configuration in etcd, compressed: etcd takes requests up to 1.5 MiB. */
export const CONFIG_PIECE_BYTES = 512 * 1024;

/** Pieces of one revision; a larger configuration is refused before anything of it is written. */
export const CONFIG_PIECES_MAX = 64;

/** Revisions of the cluster's configuration kept in etcd; past it the writer of a new one deletes the oldest. */
export const CONFIG_HISTORY_REVISIONS = 100;

/** All pieces of the revisions kept; past it the oldest go, but never the newest two and the one in force. */
export const CONFIG_HISTORY_BYTES = 64 * 1024 * 1024;

/** Who wrote a revision, and why; longer texts are cut off. */
export const CONFIG_COMMENT_CHARACTERS_MAX = 500;

/** Revisions that a node keeps ready besides the one in force; past it the oldest is forgotten, and read again if the view names it. */
export const CONFIG_PREPARED_MAX = 2;

/** How long the thread that reads configurations rests before it ends; it keeps some memory meanwhile. */
export const CONFIG_THREAD_REST_MS = 60_000;

/** Of why a node cannot take a revision so much is shown to the other nodes; its log has the rest. */
export const CONFIG_ERROR_CHARACTERS_MAX = 1000;

/** Uses of one YAML anchor, counted with what it holds; past it the file is refused. */
export const CONFIG_ALIASES_MAX = 1000;

/** Mistakes of one file that are named; the rest is counted. */
export const CONFIG_MISTAKES_MAX = 1000;

/** Lists and maps inside each other that the fast reader of YAML follows; past it the thorough one reads the file. */
export const CONFIG_FAST_DEPTH_MAX = 64;

/**
 * Of a key in a file that the fast reader of YAML reads; past it the thorough one reads the file, and refuses it
 * if the key's colon stands over 1,024 characters behind its start (YAML 1.2.2 §7.4.2).
 */
export const CONFIG_FAST_KEY_CHARACTERS_MAX = 500;

/** Nodes of a cluster: a change travels to every other one. A file with more is refused. */
export const NODES_MAX = 16;

/** Conditions inside conditions of a class's match; a deeper one is refused. */
export const MATCH_DEPTH_MAX = 16;

/** 'sname' and 'file' of a reply without the NUL that ends them (RFC 2131 §2); a longer value is refused. */
export const SERVER_HOSTNAME_BYTES_MAX = 63;
export const BOOT_FILE_NAME_BYTES_MAX = 127;

/** Type and identifier (RFC 8415 §11.1); a longer one in a configuration is refused. */
export const DUID_BYTES_MAX = 130;

/** A configured option value; a longer one fits no packet and is refused. */
export const OPTION_VALUE_BYTES_MAX = 4096;

/** Options and sub-options that a configuration defines; one with more is refused. */
export const OPTION_DEFINITIONS_MAX = 1024;

/** A client identifier, one option's worth (a binding keeps it); a longer one is a `bad-option`. */
export const CLIENT_IDENTIFIER_BYTES_MAX = 255;

// ── bindings ────────────────────────────────────────────────────────────────────────────────────

/** Abandoned addresses that are freed in one change; more of them are freed one change after the other. */
export const ABANDONED_CLEARED_MAX = 128;

/** Addresses held after a DHCPOFFER; past it the oldest hold ends. */
export const OFFERS_MAX = 65_536;

/** How long an offered address is held for its client. */
export const OFFER_HOLD_MS = 30_000;

/** Subnets, and pools, of a configuration: the lease table numbers them in 16 bits. More of them are a mistake in the file. */
export const SUBNETS_MAX = 65_534;
export const POOLS_MAX = 65_534;

/** Addresses looked at for one that is chosen at random or by a client's hash; past it the next one in order is taken. */
export const ALLOCATION_PROBES_MAX = 64;

/** Records read from the disk at once while the table is loaded. */
export const LOAD_PAGE_RECORDS = 4096;

/** One of the two files of the journal; when it is full its changes go into LMDB while the other is written to. */
export const JOURNAL_BYTES = 4 * 1024 * 1024;

/** Changes that go from the journal into LMDB in one transaction, between two turns of the event loop. */
export const CHECKPOINT_SLICE_CHANGES = 512;

/**
 * New keys of the index of the bindings between two checkpoints of the journal; past it keys are no more put, until
 * fewer than these have come in so long a time: then the index is built.
 */
export const INDEX_NEW_KEYS_MAX = 16_384;
export const INDEX_CALM_MS = 10_000;

/**
 * Building the index of the bindings anew: records read, or as many keys written, in one turn of the event loop;
 * the pause before the next turn; keys kept in memory at once (11 bytes each), past it they are written before more
 * records are read; the pause after a failure.
 */
export const INDEX_REBUILD_SLICE_RECORDS = 1024;
export const INDEX_REBUILD_PAUSE_MS = 5;
export const INDEX_REBUILD_KEYS_MAX = 1_048_576;
export const INDEX_REBUILD_RETRY_MS = 60_000;

/** Entries that a snapshot of the store reads ahead. */
export const SNAPSHOT_PAGE_ENTRIES = 512;

/** Longest key of a meta value on the disk, in UTF-8 bytes (LMDB takes 1978); a longer one is a bug. */
export const META_KEY_BYTES_MAX = 1024;

/** A backup: what the thread hands over at once, before compression; a reader that takes nothing for so long is sent away. */
export const BACKUP_PIECE_BYTES = 256 * 1024;
export const BACKUP_IDLE_MS_MAX = 60_000;

/** A line of a backup: the longest is that of a configuration. Past it the file is damaged. */
export const BACKUP_LINE_BYTES_MAX = 256 * 1024 * 1024;

/** Bindings that a restore writes in one transaction. */
export const RESTORE_BATCH_RECORDS = 8192;

/** Names of one binding in DNS, or on their way out of it; past it the one withdrawn longest ago is forgotten, and counted. */
export const DNS_ENTRIES_PER_BINDING_MAX = 8;

// ── the history of changes ──────────────────────────────────────────────────────────────────────

/** Changes of one flush in one chunk; past it the next one begins. Room for one more record lies above it. */
export const HISTORY_CHUNK_BYTES_MAX = 64 * 1024;

/** Of chunks that are too old or too much, one flush removes so many; the others follow with the next ones. */
export const HISTORY_REMOVED_CHUNKS_MAX = 256;
export const HISTORY_REMOVED_BYTES_MAX = 1024 * 1024;

/**
 * So far the clock may be set back and the history goes on, with all changes in the second that it had reached; past
 * it the history begins anew, and is of use again when the clock has come to where it was.
 */
export const HISTORY_CLOCK_BACK_SECONDS_MAX = 3600;

/** By so much the clock of the node that made a change may be ahead: the most that `maxClockSkew` may be. */
export const TOLD_AHEAD_SECONDS_MAX = 600;

/** Changes that wait for their commit while somebody listens; past it whoever listens is told that some are lost. */
export const FEED_CHANGES_MAX = 65_536;

/** Incarnations whose logs are remembered as stored here; past it the one that was silent longest is forgotten. */
export const FEED_INCARNATIONS_MAX = 64;

/** LEASEQUERY that waits for a confirmation; further ones are dropped. A round takes milliseconds. */
export const QUERIES_WAITING_MAX = 16_384;

/** Records that a bulk query takes from the store at once. */
export const BULK_PAGE_RECORDS = 512;

/** Answers of a bulk query that are written at once. */
export const BULK_CHUNK_BYTES = 32 * 1024;

/** A bulk query that takes longer is ended: while one moment of the store is read, its pages cannot be used again. */
export const SNAPSHOT_MS_MAX = 60_000;

/** Moments of the store that are read at a time; further queries wait. */
export const SNAPSHOTS_MAX = 16;

/** Of a query over TCP; a message may have 65,535. */
export const QUERY_BYTES_MAX = 4096;

/** Changes kept in memory for requestors that follow them; who falls further behind is sent away. */
export const FOLLOWED_CHANGES_MAX = 32_768;

/** RFC 7724 §5.3: so long without news, and who follows is told that the connection stands. */
export const ACTIVE_IDLE_MS = 60_000;

/** RFC 7724 §5.3: a requestor that follows and reads nothing for so long is sent away. */
export const ACTIVE_SEND_MS = 120_000;

/** So often the files of certificates are looked at. */
export const TLS_LOOK_MS = 2000;

/** A link that is refused for the same reason again is told again after so long, for so many reasons; past it the one of longest ago is forgotten. */
export const LINK_REJECTION_AGAIN_MS = 60_000;
export const LINK_REJECTIONS_MAX = 64;

/** A connection that asks for TLS has so long for its handshake. */
export const TLS_HANDSHAKE_MS = 10_000;
