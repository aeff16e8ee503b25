/** Starts an engine, prints `{address, pids}` as one line, and holds it until it is killed. For the engine tests. */
import { startDockerEngine } from '../../../deploy/local/engine/docker-engine.ts';

const [folder, debianFolder] = process.argv.slice(2);
if (folder === undefined || debianFolder === undefined) throw new Error('two folders are needed');
const { address, pids } = await startDockerEngine({ folder, debianFolder, log: () => undefined });
console.log(JSON.stringify({ address, pids }));
