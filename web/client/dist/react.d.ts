import { type ReactNode } from "react";
import type { Parley } from "./parley.js";
import type { Conversation, Me, Outgoing, Presence, Status, Target, Thread, Typist } from "./types.js";
/** Give a `Parley` to the hooks below. Make it once, outside of components. */
export declare function ParleyProvider({ parley, children }: {
    parley: Parley;
    children?: ReactNode;
}): import("react").FunctionComponentElement<import("react").ProviderProps<Parley | null>>;
/** The client of the provider around this component. */
export declare function useParley(): Parley;
export declare const useStatus: () => Status;
export declare const useMe: () => Me | null;
/** The list of conversations, in order. */
export declare const useConversations: () => readonly Conversation[];
export declare const useConversation: (target: Target) => Conversation | undefined;
/** The messages of a conversation, loaded as the component appears, and what waits to be sent there. */
export declare function useMessages(target: Target): Thread & {
    readonly outgoing: readonly Outgoing[];
    loadOlder(): Promise<boolean>;
};
/** Who types or records there now. */
export declare const useTyping: (target: Target) => readonly Typist[];
/** Whether a user is online; undefined until it is known. */
export declare function usePresence(userId: string): Presence | undefined;
