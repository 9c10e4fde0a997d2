/** `node bulk-messages.ts SERVER`: prints each message of a bulk query for everything, as hex, one a line. */
import { LeaseQueryConnection, newXid } from '../../node/cli/leasequery-connection.ts';
import { LEASEQUERY_PORT, QueryType } from '../../node/leasequery/messages.ts';
import { bulkQuery, STREAM_OPTIONS } from '../../node/leasequery/requestor/queries.ts';

const MESSAGE_TYPE_AT = 242;
const WAIT_MS = 10_000;

const connection = await LeaseQueryConnection.open({ host: process.argv[2]!, port: LEASEQUERY_PORT });
await connection.send(bulkQuery({ xid: newXid(), options: STREAM_OPTIONS }));
for (let done = false; !done;) {
  const messages = await connection.receive(WAIT_MS);
  if (messages === undefined) throw new Error('the connection ended');
  for (const message of messages) {
    process.stdout.write(`${message.toString('hex')}\n`);
    done ||= message[MESSAGE_TYPE_AT] === QueryType.LEASEQUERYDONE;
  }
}
connection.close();
