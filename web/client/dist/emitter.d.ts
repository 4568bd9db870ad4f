/** Listeners by the name of what they hear. */
export declare class Emitter<Events extends object> {
    #private;
    on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void;
    /** Tell all listeners; what one of them throws is reported, and keeps nobody else from hearing. */
    emit<Name extends keyof Events>(name: Name, value: Events[Name]): void;
}
