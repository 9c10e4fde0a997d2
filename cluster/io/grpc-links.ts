/**
 * The adapter of the links: at most one stream to each peer, on which messages travel in order.
 *
 * Events come in the order in which they happened, never from within a call of this interface. For each
 * peer link-up and the link-down that ends it take turns; between them come its messages. While there
 * is no link, each attempt that finds the peer's port closed or silent is a link-down of its own.
 */
import { status } from '@grpc/grpc-js';
import { LINK_CLOSE_MS } from '../../node/limits.ts';
import { namesHost, namesText } from '../../node/tls/io/check-files.ts';
import type { LinkEvent, LinkTransport, PeerMessage } from '../core/ports.ts';
import { describeNode, readNode } from './link-dial.ts';
import { LinkPeer } from './link-peer.ts';
import { type IncomingCall, type LinkConnection, type LinkServer, listenForLinks } from './link-server.ts';
import type { LinkTls } from './link-tls.ts';
import { Rejections } from './rejections.ts';

export interface LinksOptions {
  /** This node's id. */
  readonly self: string;
  /** Name of the cluster; streams of another one are refused. */
  readonly cluster: string;
  /** Port 0: any that is free. */
  readonly listen: { readonly host: string; readonly port: number };
  /** `host:port` of the other nodes by id. */
  readonly peers: ReadonlyMap<string, string>;
  readonly handler: (event: LinkEvent) => void;
  /**
   * A node that is not wanted, or does not want us, and why: for the operator, not for the core. Of a connection that
   * has not said whose it is the node that is known by its address, or else the address; a repetition is told now and then.
   */
  readonly onRejected?: (peer: string, detail: string) => void;
  /** Without it the links are in the clear. */
  readonly tls?: LinkTls | undefined;
  /** A link begins in the clear though there is TLS here, which is optional. */
  readonly onUnsecured?: (peer: string) => void;
  /** Counts every refusal, told or not. */
  readonly counters?: { linksRefused: number };
}

export interface Links extends LinkTransport {
  readonly port: number;
  /** Ends links to nodes that are not among them any more, and begins those to new ones. */
  setPeers(peers: ReadonlyMap<string, string>): void;
}

/** Rejects with the system's error (`EADDRINUSE`, …) when the port cannot be had. */
export async function openLinks(options: LinksOptions): Promise<Links> {
  const links = new GrpcLinks(options);
  await links.listen();
  links.setPeers(options.peers);
  return links;
}

class GrpcLinks implements Links {
  readonly #options: LinksOptions;
  readonly #peers = new Map<string, LinkPeer>();
  readonly #rejections = new Rejections();
  #server: LinkServer | undefined;
  /** Events caused by calls of the core, which must not hear of them in the middle of its step. */
  #posted: LinkEvent[] = [];
  #closed: Promise<void> | undefined;

  constructor(options: LinksOptions) {
    this.#options = options;
  }

  async listen(): Promise<void> {
    const { listen, tls } = this.#options;
    this.#server = await listenForLinks({
      listen, tls,
      onCall: (call, connection) => {
        this.#accept(call, connection);
      },
      onRefused: (address, detail) => {
        this.#reject(this.#nodeAt(address), detail);
      },
    });
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  setPeers(peers: ReadonlyMap<string, string>): void {
    if (this.#closed !== undefined) return;
    for (const [id, peer] of this.#peers) {
      if (peers.has(id)) continue;
      this.#peers.delete(id);
      if (peer.stop()) this.#post({ kind: 'link-down', peer: id, reason: 'closed' });
    }
    for (const [id, address] of peers) {
      const peer = this.#peers.get(id);
      if (peer === undefined) this.#peers.set(id, this.#newPeer(id, address));
      else peer.setAddress(address);
    }
  }

  send(peer: string, message: PeerMessage): void {
    this.#peers.get(peer)?.send(message);
  }

  reset(peer: string): void {
    this.#peers.get(peer)?.reset();
  }

  backlogBytes(peer: string): number {
    return this.#peers.get(peer)?.backlogBytes ?? 0;
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    const peers = [...this.#peers.values()];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LINK_CLOSE_MS);
    });
    await Promise.race([late, Promise.all(peers.map((peer) => peer.finish()))]);
    clearTimeout(timer);
    for (const peer of peers) peer.stop();
    await this.#server?.close();
  }

  #newPeer(id: string, address: string): LinkPeer {
    const { self, cluster, tls } = this.#options;
    return new LinkPeer(id, address, {
      self,
      cluster,
      tls,
      emit: (event) => {
        this.#emit(event);
      },
      post: (event) => {
        this.#post(event);
      },
      reject: (peer, detail) => {
        this.#reject(peer, detail);
      },
      unsecured: (peer) => {
        this.#options.onUnsecured?.(peer);
      },
    });
  }

  #accept(call: IncomingCall, connection: LinkConnection): void {
    const [node, cluster] = readNode(call.metadata);
    const peer = this.#peers.get(node ?? '');
    const refusal = this.#refusal(node, cluster, peer, connection);
    if (peer === undefined || refusal !== undefined) {
      call.on('error', () => {
        call.resume();
      });
      call.emit('error', { code: status.PERMISSION_DENIED, details: refusal });
      this.#reject(String(node), String(refusal));
      return;
    }
    call.sendMetadata(describeNode(this.#options.self, this.#options.cluster));
    connection.keep();
    if (this.#options.tls !== undefined && connection.certificate === undefined) this.#options.onUnsecured?.(peer.id);
    peer.use(call, () => {
      connection.disconnect();
    });
  }

  #refusal(
    node: string | undefined, cluster: string | undefined, peer: LinkPeer | undefined, { certificate }: LinkConnection,
  ): string | undefined {
    const { self, cluster: own } = this.#options;
    if (this.#closed !== undefined) return `node ${self} is shutting down`;
    if ((node ?? '') === '' || (cluster ?? '') === '') return 'the node does not say who it is';
    if (cluster !== own) return `node ${self} belongs to cluster ${own}, not to ${cluster}`;
    if (peer === undefined) return `node ${self} knows no node ${node}`;
    if (certificate !== undefined && !namesHost(certificate, peer.id)) {
      return `node ${self} is shown a certificate that names ${namesText(certificate)}, not node ${peer.id}`;
    }
    return peer.dials ? `node ${self} dials node ${node}, not the other way round` : undefined;
  }

  /** The node that is known by this address, for messages about connections that have not said a name. */
  #nodeAt(address: string): string {
    const plain = address.replace(/^::ffff:/, '');
    return [...this.#peers.values()].find(({ host }) => host === plain)?.id ?? plain;
  }

  #reject(peer: string, detail: string): void {
    const { counters, onRejected } = this.#options;
    if (counters !== undefined) counters.linksRefused++;
    if (this.#rejections.isNews(peer, detail, performance.now())) onRejected?.(peer, detail);
  }

  #emit(event: LinkEvent): void {
    this.#flush();
    if (this.#closed === undefined) this.#options.handler(event);
  }

  #post(event: LinkEvent): void {
    if (this.#posted.push(event) > 1) return;
    setImmediate(() => {
      this.#flush();
    });
  }

  #flush(): void {
    const posted = this.#posted;
    this.#posted = [];
    for (const event of posted) if (this.#closed === undefined) this.#options.handler(event);
  }
}
