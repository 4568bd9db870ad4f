/**
 * Which tab sends what. Each tab holds a Web Lock of its own name while it lives, so others see its end.
 * Without Web Locks nobody is taken to live but oneself: two may then send the same message, which the
 * server stores once by its clientMessageId.
 */
export declare class Ownership {
    #private;
    readonly id: string;
    /** Say that this tab lives; resolves when others can see it. */
    claim(): Promise<void>;
    /** Whether another tab of this name is known to live. */
    isAlive(owner: string): boolean;
    /** Resolve once the tab of this name is gone. */
    afterTheEndOf(owner: string): Promise<void>;
    private get locks();
}
