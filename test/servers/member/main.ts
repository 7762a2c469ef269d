/** A host's process, as far as membership goes: announces itself, says so, and stays until it is killed. */
import { connectNats } from "@dormouse/nats";

const [, , servers = "", incarnation = ""] = process.argv;
const nats = await connectNats({ servers });
await nats.membership("app").announce({ incarnation, facts: new Uint8Array() });
console.log("announced");
