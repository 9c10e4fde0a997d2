/**
 * What a requestor was told over TCP is committed: whatever happens then, the address's record is that one or a newer one.
 */
import { formatIpv4 } from '../../../node/codec/address.ts';
import { recordIncarnation, recordSeq, supersedes } from '../../../node/lease/record.ts';
import { PromiseBroken } from '../checker.ts';
import { describeRecord } from '../convergence.ts';
import type { SimNode } from '../node.ts';

interface Promised {
  readonly record: Buffer;
  /** Who said so, and how. */
  readonly by: string;
}

export class Promises {
  /** The newest that was told of each address. */
  readonly #promised = new Map<number, Promised>();
  readonly #nodes: readonly SimNode[];

  constructor(nodes: readonly SimNode[]) {
    this.#nodes = nodes;
  }

  /** `node`: who told it. */
  told(node: SimNode, address: number, record: Buffer, by: string): void {
    this.#checkCommitted(node, address, record, by);
    const before = this.#promised.get(address);
    if (before === undefined || supersedes(record, before.record)) this.#promised.set(address, { record, by });
  }

  /** A member that is there knows best how much of its log is committed. */
  #checkCommitted({ engine }: SimNode, address: number, record: Buffer, by: string): void {
    const incarnation = recordIncarnation(record);
    if (engine!.core.state.view?.members.some((member) => member.incarnation === incarnation) !== true) return;
    const maker = this.#nodes.find((each) => each.engine?.incarnation === incarnation);
    const committed = maker?.engine?.core.state.committedSeq ?? Infinity;
    if (recordSeq(record) <= committed) return;
    throw new PromiseBroken(`${by} told that ${formatIpv4(address)} is ${describeRecord(record)}, and only ${committed} is committed`);
  }

  /** What others have may be lost, by an operator's word. */
  forget(): void {
    this.#promised.clear();
  }

  /** `node`: a member that has all that any member has made. */
  check({ id, table }: SimNode): void {
    for (const [address, { by, record }] of this.#promised) {
      const found = table!.read(address);
      if (found !== undefined && !supersedes(record, found)) continue;
      throw new PromiseBroken(`${by} told that ${formatIpv4(address)} is ${describeRecord(record)}, and ${id} has ${describeRecord(found)}`);
    }
  }
}
