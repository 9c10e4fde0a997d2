/** Which configured subnet an address lies in. */
import type { SubnetConfig } from '../config/types.ts';
import { RangeFinder } from './range-finder.ts';

export class SubnetFinder extends RangeFinder {
  /** `find` answers with the position in this list. */
  constructor(subnets: readonly Pick<SubnetConfig, 'network' | 'prefixLength'>[]) {
    super(subnets.map(({ network, prefixLength }, index) => ({
      first: network, last: network + 2 ** (32 - prefixLength) - 1, index,
    })));
  }
}
