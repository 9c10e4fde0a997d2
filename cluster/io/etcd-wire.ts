/**
 * Requests and results of cluster/core/ports.ts as etcd's own messages (etcdserverpb).
 *
 * Keys are relative to a prefix here and absolute there. Every request is one `Txn`, also a plain read:
 * without `serializable` etcd answers it linearizably. 64-bit numbers come as decimal text; revisions
 * stay far below 2^53, lease and cluster ids do not and are kept as text.
 */
import type { ICompare, IKeyValue, IRangeResponse, IRequestOp, ITxnRequest, ITxnResponse } from 'etcd3';
import type { EtcdCompare, EtcdKeyValue, EtcdOp, EtcdRequest, EtcdResult } from '../core/ports.ts';

type TxnRequest = Extract<EtcdRequest, { kind: 'txn' }>;

/** First key after all that begin with `prefix`; etcd's "no end" (a zero byte) if there is none. */
export function prefixEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at] ?? 0xff;
    if (byte < 0xff) {
      end[at] = byte + 1;
      return end.subarray(0, at + 1);
    }
  }
  return Buffer.from([0]);
}

export function txnToWire(prefix: string, request: TxnRequest): ITxnRequest {
  return {
    compare: request.compares.map((compare) => compareToWire(prefix, compare)),
    success: request.then.map((op) => opToWire(prefix, op)),
    failure: request.otherwise.map((op) => opToWire(prefix, op)),
  };
}

function compareToWire(prefix: string, compare: EtcdCompare): ICompare {
  const key = Buffer.from(prefix + compare.key);
  return 'modRevision' in compare
    ? { key, result: 'Equal', target: 'Mod', mod_revision: compare.modRevision }
    : { key, result: 'Equal', target: 'Create', create_revision: compare.createRevision };
}

function opToWire(prefix: string, op: EtcdOp): IRequestOp {
  switch (op.op) {
    case 'get':
      return { request_range: { key: Buffer.from(prefix + op.key) } };
    case 'get-prefix': {
      const start = prefix + op.prefix;
      const range = { key: Buffer.from(start), range_end: prefixEnd(start), limit: op.limit, keys_only: op.keysOnly ?? false };
      return { request_range: { ...range, sort_order: 'Ascend', sort_target: 'Key' } };
    }
    case 'put':
      return { request_put: { key: Buffer.from(prefix + op.key), value: op.value, lease: op.lease ?? '0' } };
    case 'delete':
      return { request_delete_range: { key: Buffer.from(prefix + op.key) } };
    case 'delete-prefix':
  }
  const start = prefix + op.prefix;
  return { request_delete_range: { key: Buffer.from(start), range_end: prefixEnd(start) } };
}

export function txnFromWire(prefix: string, id: number, response: ITxnResponse): EtcdResult {
  return {
    id,
    outcome: 'txn',
    succeeded: response.succeeded,
    // etcd3's types claim that every member of the oneof is there; only one is.
    reads: response.responses.map(({ response_range: range }: { response_range?: IRangeResponse }) =>
      (range?.kvs ?? []).map((keyValue) => keyValueFromWire(prefix, keyValue)),
    ),
    revision: Number(response.header.revision),
    clusterId: response.header.cluster_id,
  };
}

function keyValueFromWire(prefix: string, keyValue: IKeyValue): EtcdKeyValue {
  return {
    key: keyValue.key.toString().slice(prefix.length),
    value: keyValue.value,
    createRevision: Number(keyValue.create_revision),
    modRevision: Number(keyValue.mod_revision),
    lease: keyValue.lease,
  };
}
