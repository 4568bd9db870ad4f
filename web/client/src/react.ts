import {
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useSyncExternalStore,
  type ReactNode,
} from "react";
import type { Parley } from "./parley.js";
import type { Conversation, Me, Outgoing, Presence, Status, Target, Thread, Typist } from "./types.js";

const ParleyContext = createContext<Parley | null>(null);

/** Give a `Parley` to the hooks below. Make it once, outside of components. */
export function ParleyProvider({ parley, children }: { parley: Parley; children?: ReactNode }) {
  return createElement(ParleyContext.Provider, { value: parley }, children);
}

/** The client of the provider around this component. */
export function useParley(): Parley {
  const parley = useContext(ParleyContext);
  if (!parley) throw new Error("useParley needs a <ParleyProvider> around it");
  return parley;
}

/** What `select` reads of the client; the component is drawn again when that is another object. */
function useStore<Selected>(select: (parley: Parley) => Selected): Selected {
  const parley = useParley();
  const snapshot = () => select(parley);
  return useSyncExternalStore(parley.store.subscribe, snapshot, snapshot);
}

export const useStatus = (): Status => useStore((parley) => parley.status);

export const useMe = (): Me | null => useStore((parley) => parley.me);

/** The list of conversations, in order. */
export const useConversations = (): readonly Conversation[] => useStore(({ store }) => store.conversations);

export const useConversation = (target: Target): Conversation | undefined =>
  useStore(({ store }) => store.conversation(target));

/** The messages of a conversation, loaded as the component appears, and what waits to be sent there. */
export function useMessages(
  target: Target,
): Thread & { readonly outgoing: readonly Outgoing[]; loadOlder(): Promise<boolean> } {
  const parley = useParley();
  const key = JSON.stringify(target);
  const id = useConversation(target)?.id ?? ("conversationId" in target ? target.conversationId : "");
  const thread = useStore(({ store }) => store.thread(id));
  const outgoing = useStore(({ store }) => store.outgoing(target));
  const status = useStatus();
  useEffect(() => {
    if (status === "ONLINE") parley.open(JSON.parse(key) as Target).catch(() => {}); // again with the next connection
  }, [parley, key, status]);
  const loadOlder = useCallback(() => parley.loadOlder(id), [parley, id]);
  return { ...thread, outgoing, loadOlder };
}

/** Who types or records there now. */
export const useTyping = (target: Target): readonly Typist[] => useStore(({ store }) => store.typing(target));

/** Whether a user is online; undefined until it is known. */
export function usePresence(userId: string): Presence | undefined {
  const parley = useParley();
  useEffect(() => parley.watchPresence([userId]), [parley, userId]);
  return useStore(({ store }) => store.presence(userId));
}
