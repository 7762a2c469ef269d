/** What a machine's author calls inside it: answers, other agents as values, the step's own time and randomness. */
import type {
  ActionArgs,
  ActionFunction,
  ActorRef,
  AnyEventObject,
  EventObject,
  MachineContext,
  ParameterizedObject,
  Snapshot,
} from "xstate";
import { DormouseError } from "./errors.ts";
import { checkName, checkUserKey, fullAddress, makeAddress, parseReference } from "./address.ts";
import { AgentRef } from "./agent-ref.ts";
import { currentStep, type Message, type MessageId } from "./current-step.ts";
import { checkOptions } from "./options.ts";
import type { AnyAgentDefinition, Asked, EventOf, ReplyOf, ReplyTo } from "./definition.ts";

/** Another agent, as a value: `sendTo` takes it, context may keep it. It has no memory and no methods that act. */
export type RemoteRef<TEvent extends EventObject> = ActorRef<Snapshot<unknown>, TEvent>;

/** The types of the resolving actions below, as the engine meets them. */
export const replyType = "dormouse.reply";
export const replyToType = "dormouse.replyTo";

/** What `reply` and `replyTo` come to, in the place among the actions where they stand. */
export interface ReplyParams {
  readonly value: unknown;
}
export interface ReplyToParams {
  readonly eventType: string;
  readonly messageId: string | undefined;
  readonly value: unknown;
}

/**
 * Answers the ask that this step handles, after its commit; the first answer counts. Without an ask, and outside a
 * host, it does nothing.
 *
 * @param value - The reply, plain data, or a function of the action's arguments; computed in its place among the actions.
 * @example
 * ```ts
 * on: { add: { actions: [assign({ count: ({ context, event }) => context.count + event.by }), reply(({ context }) => context.count)] } }
 * ```
 * @see DESIGN.md, section 15
 */
export function reply<
  TContext extends MachineContext,
  TExpressionEvent extends EventObject,
  TParams extends ParameterizedObject["params"] | undefined,
  TEvent extends EventObject,
>(
  value:
    | ((args: ActionArgs<TContext, TExpressionEvent, TEvent>, params: TParams) => ReplyOf<TExpressionEvent>)
    | ReplyOf<TExpressionEvent>,
): ActionFunction<TContext, TExpressionEvent, TEvent, TParams, never, never, never, never, never> {
  return resolvingAction(replyType, (args: unknown, params: unknown): ReplyParams => ({
    value: valueOf(value, args, params),
  }));
}

/**
 * Answers asks of earlier steps, after this step's commit: all that are open of one event type, or one by the id that
 * `message()` gave. Outside a host it does nothing.
 *
 * @param asked - The asked event's type, or `{ type, id }`.
 * @param value - The reply, plain data.
 * @example
 * ```ts
 * onDone: { actions: replyTo("report", ({ context }) => ({ report: context.report })) }
 * ```
 * @see DESIGN.md, section 15
 */
export function replyTo<
  TContext extends MachineContext,
  TExpressionEvent extends EventObject,
  TParams extends ParameterizedObject["params"] | undefined,
  TEvent extends EventObject,
  const TType extends Asked<TEvent>["type"],
>(
  asked:
    | TType
    | { type: TType; id: (args: ActionArgs<TContext, TExpressionEvent, TEvent>, params: TParams) => MessageId },
  value: (args: ActionArgs<TContext, TExpressionEvent, TEvent>, params: TParams) => ReplyTo<TEvent, TType>,
): ActionFunction<TContext, TExpressionEvent, TEvent, TParams, never, never, never, never, never> {
  return resolvingAction(replyToType, (args: unknown, params: unknown): ReplyToParams => ({
    eventType: typeof asked === "string" ? asked : asked.type,
    messageId: typeof asked === "string" ? undefined : (valueOf(asked.id, args, params) as MessageId),
    value: valueOf(value, args, params),
  }));
}

/**
 * Another agent as a value, by its definition and key, or by its address: a target of `sendTo`. Nothing is looked up:
 * the agent need not exist. What is sent to an app that is not there is counted among the sender's errors.
 *
 * @param target - A definition, or an address: `type/key` in this app, `app/type/key` in another. By its address, an agent
 * of this app whose key holds a `/` is named in full too; what `message().from` tells is right as it is.
 * @param options - `app`: the app that the agent belongs to. Default: this one.
 * @throws DormouseError `invalid` (`key.invalid`, `key.reserved`, `address.invalid`, `type.invalid`, `app.invalid`).
 * @example
 * ```ts
 * actions: sendTo(({ context }) => ref(account, context.to), { type: "deposit", amount: 5 })
 * ```
 * @example
 * ```ts
 * actions: sendTo(ref(account, "acme", { app: "billing" }), { type: "deposit", amount: 5 })
 * ```
 * @see DESIGN.md, section 4
 */
export function ref<TDefinition extends AnyAgentDefinition>(
  definition: TDefinition,
  key: string,
  options?: RefOptions,
): RemoteRef<EventOf<TDefinition>>;
export function ref(address: string): RemoteRef<AnyEventObject>;
export function ref(
  target: AnyAgentDefinition | string,
  key: string = "",
  options: RefOptions = {},
): RemoteRef<AnyEventObject> {
  if (typeof target === "string") return asRemote(new AgentRef(parseReference(target)));
  // `message().from` is undefined where a client sent the event, and types are silent after a `!`.
  if (!isDefinition(target)) throw addressMissing(target);
  checkOptions("ref", options, ["app"]);
  checkUserKey(key);
  const address = makeAddress(target.type, key);
  if (options.app === undefined) return asRemote(new AgentRef(address));
  checkName("app", options.app);
  return asRemote(new AgentRef(fullAddress(options.app, address)));
}

function isDefinition(target: unknown): boolean {
  return typeof target === "object" && target !== null && "type" in target;
}

function addressMissing(target: unknown): DormouseError {
  const text =
    "ref takes a definition or an address, and this is neither; an event that a client sent has no `message().from`: " +
    `given=${typeof target}`;
  return new DormouseError("invalid", "address.invalid", text);
}

export interface RefOptions {
  /** The app that the agent belongs to. Default: that of the agent which sends. */
  readonly app?: string;
}

/**
 * The step's time in milliseconds since 1970: the same throughout a step, never running backwards for an agent.
 *
 * @throws DormouseError `invalid` (`step.none`), outside a step.
 */
export function now(): number {
  return currentStep("now").now;
}

/**
 * A number from 0 up to but not 1, the same when the step is computed again.
 *
 * @throws DormouseError `invalid` (`step.none`), outside a step.
 */
export function random(): number {
  return currentStep("random").random();
}

/**
 * A version 4 UUID that nobody outside can guess, the same when the step is computed again.
 *
 * @throws DormouseError `invalid` (`step.none`), outside a step.
 */
export function uuid(): string {
  return currentStep("uuid").uuid();
}

/**
 * The message that the step handles: its id (for `replyTo`), its sender, whether it is an ask.
 *
 * @throws DormouseError `invalid` (`step.none`), outside a step.
 */
export function message(): Message {
  return currentStep("message").message;
}

/**
 * An action that XState resolves in its place among the others, and that arrives at the engine as data; a plain function
 * would arrive as a closure, after all assigns.
 */
function resolvingAction(type: string, paramsOf: (args: unknown, params: unknown) => object): ResolvingAction {
  return Object.assign((): never => neverCalled(type), {
    type,
    resolve: (_scope: unknown, snapshot: unknown, args: unknown, params: unknown) =>
      [snapshot, paramsOf(args, params), undefined] as const,
    execute: doNothing,
  });
}

interface ResolvingAction {
  (): never;
  readonly type: string;
  readonly resolve: (scope: unknown, snapshot: unknown, args: unknown, params: unknown) => readonly unknown[];
  /** What it does outside a host. */
  readonly execute: () => void;
}

function neverCalled(type: string): never {
  throw new Error(`XState resolves this action, it is never called: type=${type}`);
}

function doNothing(): void {}

function valueOf(value: unknown, args: unknown, params: unknown): unknown {
  return typeof value === "function" ? (value as (args: unknown, params: unknown) => unknown)(args, params) : value;
}

/** XState's type of a reference asks for methods that act; ours refuse, so it is told that they are there. */
function asRemote(agentRef: AgentRef): RemoteRef<AnyEventObject> {
  return agentRef as unknown as RemoteRef<AnyEventObject>;
}
