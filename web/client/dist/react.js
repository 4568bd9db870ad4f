import { createContext, createElement, useCallback, useContext, useEffect, useSyncExternalStore, } from "react";
const ParleyContext = createContext(null);
/** Give a `Parley` to the hooks below. Make it once, outside of components. */
export function ParleyProvider({ parley, children }) {
    return createElement(ParleyContext.Provider, { value: parley }, children);
}
/** The client of the provider around this component. */
export function useParley() {
    const parley = useContext(ParleyContext);
    if (!parley)
        throw new Error("useParley needs a <ParleyProvider> around it");
    return parley;
}
/** What `select` reads of the client; the component is drawn again when that is another object. */
function useStore(select) {
    const parley = useParley();
    const snapshot = () => select(parley);
    return useSyncExternalStore(parley.store.subscribe, snapshot, snapshot);
}
export const useStatus = () => useStore((parley) => parley.status);
export const useMe = () => useStore((parley) => parley.me);
/** The list of conversations, in order. */
export const useConversations = () => useStore(({ store }) => store.conversations);
export const useConversation = (target) => useStore(({ store }) => store.conversation(target));
/** The messages of a conversation, loaded as the component appears, and what waits to be sent there. */
export function useMessages(target) {
    const parley = useParley();
    const key = JSON.stringify(target);
    const id = useConversation(target)?.id ?? ("conversationId" in target ? target.conversationId : "");
    const thread = useStore(({ store }) => store.thread(id));
    const outgoing = useStore(({ store }) => store.outgoing(target));
    const status = useStatus();
    useEffect(() => {
        if (status === "ONLINE")
            parley.open(JSON.parse(key)).catch(() => { }); // again with the next connection
    }, [parley, key, status]);
    const loadOlder = useCallback(() => parley.loadOlder(id), [parley, id]);
    return { ...thread, outgoing, loadOlder };
}
/** Who types or records there now. */
export const useTyping = (target) => useStore(({ store }) => store.typing(target));
/** Whether a user is online; undefined until it is known. */
export function usePresence(userId) {
    const parley = useParley();
    useEffect(() => parley.watchPresence([userId]), [parley, userId]);
    return useStore(({ store }) => store.presence(userId));
}
