/** Handles the messages of the topic `build-requests`. */
import type { Message } from '@google-cloud/pubsub';
import { asBuildId } from '../../shared/identity.ts';
import { parseBuildRequest } from '../../shared/messages.ts';
import type { Outcome } from '../queue/consumer.ts';
import { planBuild } from './plan-build.ts';
import { acceptRequest, type RequestContext } from './requests.ts';

/** Plans what the message asks for. A request names itself by its attribute `requestId`, else by its message id. */
export async function handleRequest(context: RequestContext, message: Message): Promise<Outcome> {
  const parsed = parseBuildRequest(message.data);
  if (parsed.type === 'plan') {
    await planBuild(context, asBuildId(parsed.message.buildId));
  } else {
    await acceptRequest(context, message.attributes['requestId'] ?? message.id, parsed.message);
  }
  return 'ack';
}
