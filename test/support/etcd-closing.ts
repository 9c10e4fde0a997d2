/**
 * Run as a process of its own: opens the adapter before the endpoints named, leaves requests under way
 * and closes. It prints what came of them and must then end by itself.
 */
import { EtcdAsker } from './etcd-process.ts';

const asker = new EtcdAsker(process.argv.slice(2));
const reads = [asker.read(60_000), asker.read(60_000), asker.ask({ kind: 'keepalive', lease: '1', deadlineMs: 60_000 })];
await asker.pass(50);
await asker.close();
const late = asker.read(60_000);
const results = await Promise.all([...reads, late]);
console.log(results.map(({ outcome }) => outcome).join(' '));
