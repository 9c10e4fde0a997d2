/** One attempt to open a link to a peer, on a channel of its own: gRPC's backoff never gets in the way. */
import { Client, type ClientDuplexStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { LINK_MESSAGE_BYTES_MAX } from '../../node/limits.ts';
import { namesHost, namesText } from '../../node/tls/io/check-files.ts';
import type { TlsSource } from '../../node/tls/io/credentials.ts';
import { HeldCredentials } from './held-credentials.ts';
import { RECEIVE_WINDOW_BYTES } from './link-server.ts';
import { CLUSTER_KEY, LINK_CHANNEL_OPTIONS, LINK_METHOD, NODE_KEY } from './link-stream.ts';

export interface DialOptions {
  readonly self: string;
  readonly cluster: string;
  readonly peer: string;
  /** `host:port`. */
  readonly address: string;
  /** Without it in the clear. */
  readonly tls: TlsSource | undefined;
  readonly timeoutMs: number;
}

export interface DialHandler {
  onUp(call: ClientDuplexStream<Buffer, Buffer>, disconnect: () => void): void;
  /** `rejection`: a node answered, but not as this peer of this cluster, or it does not want us. */
  onFailed(rejection: string | undefined): void;
}

/** Calls exactly one of the handler's functions, later; the function returned ends it without. */
export function dial(options: DialOptions, handler: DialHandler): () => void {
  const credentials = new HeldCredentials(options.tls && {
    source: options.tls, serverName: options.peer,
    // Its name, and not its address: whoever takes the address of a node over is not that node.
    refusal: (certificate) => (namesHost(certificate, options.peer) ? undefined : `its certificate names ${namesText(certificate)}, not node ${options.peer}`),
  });
  const client = new Client(options.address, credentials, {
    ...LINK_CHANNEL_OPTIONS,
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': LINK_MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': LINK_MESSAGE_BYTES_MAX,
    'grpc-node.flow_control_window': RECEIVE_WINDOW_BYTES,
  });
  const { path, requestSerialize, responseDeserialize } = LINK_METHOD;
  const metadata = describeNode(options.self, options.cluster);
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  const disconnect = (): void => {
    call.cancel();
    client.close();
    credentials.disconnect();
  };
  let settled = false;
  const settle = (): boolean => {
    if (settled) return false;
    settled = true;
    clearTimeout(timer);
    return true;
  };
  const fail = (rejection: string | undefined): void => {
    if (!settle()) return;
    disconnect();
    handler.onFailed(rejection);
  };
  const timer = setTimeout(() => {
    fail(undefined);
  }, options.timeoutMs);
  call.on('error', (error: ServiceError) => {
    fail(isRejection(error.code) ? error.details : credentials.failure);
  });
  call.on('end', () => {
    fail(credentials.failure);
  });
  call.on('metadata', (answer) => {
    const [node, cluster] = readNode(answer);
    // A call that is refused has metadata too, without these; its status follows.
    if (node === undefined) return;
    if (node !== options.peer || cluster !== options.cluster) {
      fail(`${options.address} is node ${node} of cluster ${cluster}, not node ${options.peer}`);
    } else if (settle()) {
      handler.onUp(call, disconnect);
    }
  });
  return () => {
    if (settle()) disconnect();
  };
}

export function describeNode(node: string, cluster: string): Metadata {
  const metadata = new Metadata();
  metadata.set(NODE_KEY, node);
  metadata.set(CLUSTER_KEY, cluster);
  return metadata;
}

/** The id of the node and the name of its cluster, where they are said. */
export function readNode(metadata: Metadata): [node: string | undefined, cluster: string | undefined] {
  const [node, cluster] = [metadata.get(NODE_KEY)[0], metadata.get(CLUSTER_KEY)[0]];
  return [node?.toString(), cluster?.toString()];
}

function isRejection(code: status): boolean {
  return code === status.PERMISSION_DENIED || code === status.UNIMPLEMENTED || code === status.UNAUTHENTICATED;
}
