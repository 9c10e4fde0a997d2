/**
 * The configuration of a large network, for what the benchmark's own subnet costs beside it: 1,000 subnets,
 * 200 classes of all kinds (one of which the load's clients are in), 100,000 reservations.
 */
const SUBNETS = 999;
const CLASSES = 200;
const RESERVATIONS = 100_000;

/** YAML for `classes:` and more entries for `subnets:`, each in an indentation of its own. */
export function largeConfig(): { readonly classes: string; readonly subnets: string } {
  const lines: string[] = [];
  for (let n = 0, reserved = 0; n < SUBNETS; n++) {
    // 172.16.0.0/12 in networks of 1,024 addresses; the upper half of each is its pool.
    const base = (172 << 24 | 16 << 16 | n << 10) >>> 0;
    const address = (offset: number): string => [24, 16, 8, 0].map((shift) => (base + offset >>> shift) & 255).join('.');
    lines.push(`  - subnet: ${address(0)}/22`, `    pools: [${address(512)}-${address(1000)}]`, `    options: { routers: [${address(1)}] }`, '    reservations:');
    for (let i = 0; reserved < Math.floor(RESERVATIONS * (n + 1) / SUBNETS); i++, reserved++) {
      const hex = (0x02_00_00_00_00_00 + reserved).toString(16).padStart(12, '0').replaceAll(/..(?!$)/g, '$&:');
      lines.push(`      - { hardware: "${hex}", address: ${address(2 + i)}, hostname: host-${reserved} }`);
    }
  }
  return { classes: ['classes:', ...Array.from({ length: CLASSES }, (_, n) => `  - ${classOf(n)}`), ''].join('\n'), subnets: `${lines.join('\n')}\n` };
}

function classOf(n: number): string {
  const name = `name: class-${n}`;
  switch (n % 5) {
    // perfdhcp's clients have hardware addresses from 00:0c:01:02:03:04 on.
    case 0: return `{ ${name}, match: { field: hardware, prefix: { hex: "${n === 0 ? '00:0c' : `06:${n.toString(16).padStart(2, '0')}`}" } }, options: { ntp-servers: [10.0.0.${n}] } }`;
    case 1: return `{ ${name}, match: { option: vendor-class-identifier, prefix: "Vendor ${n}" }, leaseTime: 30m }`;
    case 2: return `{ ${name}, match: { relay: circuit-id, equals: "port-${n}" }, leaseTime: 7d }`;
    case 3: return `{ ${name}, match: { all: [ { option: vendor-class-identifier, prefix: PXEClient }, { option: client-system, equals: ${n} } ] }, nextServer: 10.0.0.5 }`;
    default: return `{ ${name}, match: { any: [ { option: host-name, contains: "x${n}" }, { not: { field: giaddr, network: [0.0.0.0/1] } } ] }, options: { domain-name: d${n}.example.net } }`;
  }
}
