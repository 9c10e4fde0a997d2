/**
 * One stream to a peer, the same for the side that dialled and the side that accepted.
 *
 * Messages are encoded here rather than by gRPC, so that the bytes waiting are known: gRPC itself
 * buffers without a bound. A message that cannot be decoded ends the stream.
 */
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { PeerMessage } from '../../proto/gen/replication.ts';

export const LINK_METHOD = {
  path: '/lessor.replication.v1.Replication/Link',
  requestStream: true,
  responseStream: true,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
} as const;

/** What both sides say of themselves before the first message. */
export const NODE_KEY = 'lessor-node';
export const CLUSTER_KEY = 'lessor-cluster';

export type LinkCall = ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

export interface LinkStreamHandler {
  onMessage(message: PeerMessage): void;
  /** Once, and never after `drop`. `fault`: the peer sent what is no message. */
  onOver(fault: string | undefined): void;
}

/** For channels and servers. Pings end connections whose other side has gone without a word. */
export const LINK_CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 2000,
  'grpc.keepalive_timeout_ms': 2000,
  'grpc.enable_channelz': 0,
};

export class LinkStream {
  readonly #call: LinkCall;
  readonly #disconnect: () => void;
  readonly #handler: LinkStreamHandler;
  #backlogBytes = 0;
  #over = false;

  /** `disconnect` ends the connection below at once, whatever still waits in it. */
  constructor(call: LinkCall, disconnect: () => void, handler: LinkStreamHandler) {
    this.#call = call;
    this.#disconnect = disconnect;
    this.#handler = handler;
    const onOver = (): void => {
      this.#end(undefined);
    };
    call.on('data', (bytes: Buffer) => {
      this.#receive(bytes);
    });
    for (const event of ['end', 'close', 'error', 'cancelled']) call.on(event, onOver);
  }

  /** Bytes of messages that the operating system has not taken yet. */
  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  send(message: PeerMessage): void {
    if (this.#over) return;
    const { buffer, byteOffset, byteLength } = PeerMessage.encode(message).finish();
    this.#backlogBytes += byteLength;
    this.#call.write(Buffer.from(buffer, byteOffset, byteLength), () => {
      this.#backlogBytes -= byteLength;
    });
  }

  /** Lets what was sent leave; `onOver` follows when the peer has it all, if it ever does. */
  finish(): void {
    if (!this.#over) this.#call.end();
  }

  /** Ends the stream now; nothing is heard of it any more. */
  drop(): void {
    this.#over = true;
    this.#disconnect();
  }

  #receive(bytes: Buffer): void {
    if (this.#over) return;
    let message: PeerMessage;
    try {
      message = PeerMessage.decode(bytes);
    } catch (error) {
      this.#end(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#handler.onMessage(message);
  }

  #end(fault: string | undefined): void {
    if (this.#over) return;
    this.drop();
    this.#handler.onOver(fault);
  }
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
