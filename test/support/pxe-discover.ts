/**
 * The DHCPDISCOVER of a PC's network boot ROM: the options, their order and the parameter request list that
 * PXE 2.1 prescribes and such ROMs send, 548 bytes in all, answers asked for by broadcast.
 */
import { option } from './client-packets.ts';

const CHADDR = Buffer.from('001e6804eb37', 'hex');
const PARAMETERS = [
  1, 2, 3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135,
];
const BYTES = 548;

function build(): Buffer {
  const header = Buffer.alloc(240);
  header.set([1, 1, 6, 0], 0);
  header.writeUInt32BE(0x6804_eb37, 4);
  header.writeUInt16BE(4, 8);
  header.writeUInt16BE(0x8000, 10);
  CHADDR.copy(header, 28);
  header.writeUInt32BE(0x6382_5363, 236);
  const options = Buffer.concat([
    option(53, Buffer.of(1)),
    option(57, Buffer.of(0x04, 0xec)),
    option(55, Buffer.from(PARAMETERS)),
    option(97, Buffer.concat([Buffer.of(0), Buffer.from('00112233445566778899aabbccddeeff', 'hex')])),
    option(94, Buffer.of(1, 2, 1)),
    option(93, Buffer.of(0, 0)),
    option(60, Buffer.from('PXEClient:Arch:00000:UNDI:002001')),
    Buffer.of(255),
  ]);
  return Buffer.concat([header, options, Buffer.alloc(BYTES - header.length - options.length)]);
}

export const PXE_DISCOVER: Buffer = build();
