/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends {
    [key: string]: unknown;
}> = {
    [K in keyof T]: T[K];
};
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | {
    [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never;
};
import type { Document } from "./document.js";
import type * as T from "./generated.js";
/** What a user does in a conversation before a message comes of it. */
export type Activity = 
/** They have stopped, or sent a message. */
'NONE'
/** They record a voice note. */
 | 'RECORDING'
/** They write a text. */
 | 'TYPING';
/** Who may write to everybody. */
export type Broadcasters = 
/** Administrators only. */
'ADMINS'
/** Every user. */
 | 'EVERYONE'
/** Nobody. */
 | 'OFF';
/** Whose a conversation is. */
export type ConversationKind = 
/** Between two people: `peer` is the other one. */
'DIRECT'
/** The broadcasts: everybody is in it. */
 | 'EVERYBODY'
/** Among the `members` of a group. */
 | 'GROUP';
/** Whom a user finds and sees online, beside themselves. */
export type Directory = 
/** Those with whom they have exchanged a direct message, or are in a group. */
'CONTACTS'
/** Every user. */
 | 'EVERYONE'
/** Nobody. */
 | 'OFF';
/** What a member may do in a conversation. */
export type MemberRole = 
/** May change the group and its members. */
'ADMIN'
/** Reads and writes. */
 | 'MEMBER'
/** May do everything in the group. */
 | 'OWNER';
/** What a message's content is. */
export type MessageKind = 
/** One to three emoji and nothing else, for a client to show large. */
'EMOJI'
/** Any other file: `attachment`, with `content` as its caption. */
 | 'FILE'
/** A picture: `attachment`, with `content` as its caption. */
 | 'IMAGE'
/** Text, in Unicode. */
 | 'TEXT'
/** A voice note: `attachment`, with `content` as its caption. */
 | 'VOICE';
/** What others see of whether you are online. */
export type PresenceSetting = 
/** That you are offline, last seen when you became invisible. Nor do they see you type. */
'INVISIBLE'
/** That you are online while you are. */
 | 'VISIBLE';
export type RegisterMutationVariables = Exact<{
    email: string;
    password: string;
    displayName: string;
}>;
export type RegisterMutation = {
    readonly register: {
        readonly token: string;
        readonly expiresAt: string;
        readonly user: {
            readonly email: string | null;
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
    };
};
export type LoginMutationVariables = Exact<{
    email: string;
    password: string;
}>;
export type LoginMutation = {
    readonly login: {
        readonly token: string;
        readonly expiresAt: string;
        readonly user: {
            readonly email: string | null;
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
    };
};
export type RenewTokenMutationVariables = Exact<{
    [key: string]: never;
}>;
export type RenewTokenMutation = {
    readonly renewToken: {
        readonly token: string;
        readonly expiresAt: string;
        readonly user: {
            readonly email: string | null;
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
    };
};
export type LogoutMutationVariables = Exact<{
    [key: string]: never;
}>;
export type LogoutMutation = {
    readonly logout: boolean;
};
export type LogoutEverywhereMutationVariables = Exact<{
    [key: string]: never;
}>;
export type LogoutEverywhereMutation = {
    readonly logoutEverywhere: boolean;
};
export type RevokeSessionMutationVariables = Exact<{
    id: string;
}>;
export type RevokeSessionMutation = {
    readonly revokeSession: boolean;
};
export type ChangePasswordMutationVariables = Exact<{
    currentPassword: string;
    newPassword: string;
}>;
export type ChangePasswordMutation = {
    readonly changePassword: {
        readonly token: string;
        readonly expiresAt: string;
        readonly user: {
            readonly email: string | null;
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
    };
};
export type DeleteAccountMutationVariables = Exact<{
    password: string;
}>;
export type DeleteAccountMutation = {
    readonly deleteAccount: boolean;
};
export type SendMessageMutationVariables = Exact<{
    receiverId?: string | null | undefined;
    conversationId?: string | null | undefined;
    content?: string | null | undefined;
    kind?: MessageKind | null | undefined;
    attachmentId?: string | null | undefined;
    clientMessageId: string;
    replyToId?: string | null | undefined;
    metadata?: unknown;
}>;
export type SendMessageMutation = {
    readonly sendMessage: {
        readonly id: string;
        readonly conversationId: string;
        readonly senderId: string;
        readonly receiverId: string | null;
        readonly kind: MessageKind;
        readonly content: string;
        readonly clientMessageId: string | null;
        readonly createdAt: string;
        readonly editedAt: string | null;
        readonly deletedAt: string | null;
        readonly replyToId: string | null;
        readonly metadata: unknown;
        readonly sender: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
        readonly replyTo: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly content: string;
            readonly deletedAt: string | null;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
            };
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly thumbnailUrl: string | null;
            } | null;
        } | null;
        readonly attachment: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly reactions: ReadonlyArray<{
            readonly emoji: string;
            readonly count: number;
            readonly mine: boolean;
            readonly users: ReadonlyArray<{
                readonly id: string;
                readonly displayName: string;
            }>;
        }>;
    };
};
export type EditMessageMutationVariables = Exact<{
    id: string;
    content: string;
    metadata?: unknown;
}>;
export type EditMessageMutation = {
    readonly editMessage: {
        readonly id: string;
        readonly conversationId: string;
        readonly senderId: string;
        readonly receiverId: string | null;
        readonly kind: MessageKind;
        readonly content: string;
        readonly clientMessageId: string | null;
        readonly createdAt: string;
        readonly editedAt: string | null;
        readonly deletedAt: string | null;
        readonly replyToId: string | null;
        readonly metadata: unknown;
        readonly sender: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
        readonly replyTo: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly content: string;
            readonly deletedAt: string | null;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
            };
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly thumbnailUrl: string | null;
            } | null;
        } | null;
        readonly attachment: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly reactions: ReadonlyArray<{
            readonly emoji: string;
            readonly count: number;
            readonly mine: boolean;
            readonly users: ReadonlyArray<{
                readonly id: string;
                readonly displayName: string;
            }>;
        }>;
    };
};
export type DeleteMessageMutationVariables = Exact<{
    id: string;
}>;
export type DeleteMessageMutation = {
    readonly deleteMessage: {
        readonly id: string;
        readonly conversationId: string;
        readonly senderId: string;
        readonly receiverId: string | null;
        readonly kind: MessageKind;
        readonly content: string;
        readonly clientMessageId: string | null;
        readonly createdAt: string;
        readonly editedAt: string | null;
        readonly deletedAt: string | null;
        readonly replyToId: string | null;
        readonly metadata: unknown;
        readonly sender: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
        readonly replyTo: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly content: string;
            readonly deletedAt: string | null;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
            };
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly thumbnailUrl: string | null;
            } | null;
        } | null;
        readonly attachment: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly reactions: ReadonlyArray<{
            readonly emoji: string;
            readonly count: number;
            readonly mine: boolean;
            readonly users: ReadonlyArray<{
                readonly id: string;
                readonly displayName: string;
            }>;
        }>;
    };
};
export type AddReactionMutationVariables = Exact<{
    messageId: string;
    emoji: string;
}>;
export type AddReactionMutation = {
    readonly addReaction: {
        readonly id: string;
        readonly conversationId: string;
        readonly senderId: string;
        readonly receiverId: string | null;
        readonly kind: MessageKind;
        readonly content: string;
        readonly clientMessageId: string | null;
        readonly createdAt: string;
        readonly editedAt: string | null;
        readonly deletedAt: string | null;
        readonly replyToId: string | null;
        readonly metadata: unknown;
        readonly sender: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
        readonly replyTo: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly content: string;
            readonly deletedAt: string | null;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
            };
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly thumbnailUrl: string | null;
            } | null;
        } | null;
        readonly attachment: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly reactions: ReadonlyArray<{
            readonly emoji: string;
            readonly count: number;
            readonly mine: boolean;
            readonly users: ReadonlyArray<{
                readonly id: string;
                readonly displayName: string;
            }>;
        }>;
    };
};
export type RemoveReactionMutationVariables = Exact<{
    messageId: string;
    emoji: string;
}>;
export type RemoveReactionMutation = {
    readonly removeReaction: {
        readonly id: string;
        readonly conversationId: string;
        readonly senderId: string;
        readonly receiverId: string | null;
        readonly kind: MessageKind;
        readonly content: string;
        readonly clientMessageId: string | null;
        readonly createdAt: string;
        readonly editedAt: string | null;
        readonly deletedAt: string | null;
        readonly replyToId: string | null;
        readonly metadata: unknown;
        readonly sender: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
        readonly replyTo: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly content: string;
            readonly deletedAt: string | null;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
            };
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly thumbnailUrl: string | null;
            } | null;
        } | null;
        readonly attachment: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly reactions: ReadonlyArray<{
            readonly emoji: string;
            readonly count: number;
            readonly mine: boolean;
            readonly users: ReadonlyArray<{
                readonly id: string;
                readonly displayName: string;
            }>;
        }>;
    };
};
export type MarkReadMutationVariables = Exact<{
    conversationId: string;
    upTo: string;
}>;
export type MarkReadMutation = {
    readonly markRead: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    };
};
export type MarkDeliveredMutationVariables = Exact<{
    upTo: string;
}>;
export type MarkDeliveredMutation = {
    readonly markDelivered: boolean;
};
export type SetTypingMutationVariables = Exact<{
    conversationId?: string | null | undefined;
    with?: string | null | undefined;
    activity: Activity;
}>;
export type SetTypingMutation = {
    readonly setTyping: boolean;
};
export type UpdateConversationMutationVariables = Exact<{
    conversationId: string;
    mutedUntil?: string | null | undefined;
    archived?: boolean | null | undefined;
    pinned?: boolean | null | undefined;
}>;
export type UpdateConversationMutation = {
    readonly updateConversation: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    };
};
export type CreateGroupMutationVariables = Exact<{
    title: string;
    memberIds: ReadonlyArray<string> | string;
    showsEarlier: boolean;
    avatarId?: string | null | undefined;
}>;
export type CreateGroupMutation = {
    readonly createGroup: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    };
};
export type UpdateGroupMutationVariables = Exact<{
    conversationId: string;
    title?: string | null | undefined;
    avatarId?: string | null | undefined;
    removeAvatar: boolean;
    showsEarlier?: boolean | null | undefined;
}>;
export type UpdateGroupMutation = {
    readonly updateGroup: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    };
};
export type AddMembersMutationVariables = Exact<{
    conversationId: string;
    userIds: ReadonlyArray<string> | string;
}>;
export type AddMembersMutation = {
    readonly addMembers: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    };
};
export type RemoveMemberMutationVariables = Exact<{
    conversationId: string;
    userId: string;
}>;
export type RemoveMemberMutation = {
    readonly removeMember: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    };
};
export type LeaveGroupMutationVariables = Exact<{
    conversationId: string;
}>;
export type LeaveGroupMutation = {
    readonly leaveGroup: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    };
};
export type SetRoleMutationVariables = Exact<{
    conversationId: string;
    userId: string;
    role: MemberRole;
}>;
export type SetRoleMutation = {
    readonly setRole: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    };
};
export type UpdateProfileMutationVariables = Exact<{
    displayName?: string | null | undefined;
    statusText?: string | null | undefined;
    avatarId?: string | null | undefined;
}>;
export type UpdateProfileMutation = {
    readonly updateProfile: {
        readonly email: string | null;
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    };
};
export type UpdateSettingsMutationVariables = Exact<{
    presence?: PresenceSetting | null | undefined;
    readReceipts?: boolean | null | undefined;
}>;
export type UpdateSettingsMutation = {
    readonly updateSettings: {
        readonly presence: PresenceSetting;
        readonly readReceipts: boolean;
    };
};
export type BlockUserMutationVariables = Exact<{
    id: string;
}>;
export type BlockUserMutation = {
    readonly blockUser: {
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    };
};
export type UnblockUserMutationVariables = Exact<{
    id: string;
}>;
export type UnblockUserMutation = {
    readonly unblockUser: {
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    };
};
export type UploadAttachmentMutationVariables = Exact<{
    file: Blob;
    kind?: MessageKind | null | undefined;
}>;
export type UploadAttachmentMutation = {
    readonly uploadAttachment: {
        readonly id: string;
        readonly kind: MessageKind;
        readonly filename: string;
        readonly mediaType: string;
        readonly size: number;
        readonly width: number | null;
        readonly height: number | null;
        readonly durationMs: number | null;
        readonly waveform: ReadonlyArray<number> | null;
        readonly url: string;
        readonly thumbnailUrl: string | null;
    };
};
export type UserPartsFragment = {
    readonly id: string;
    readonly displayName: string;
    readonly statusText: string | null;
    readonly avatarUrl: string | null;
};
export type AttachmentPartsFragment = {
    readonly id: string;
    readonly kind: MessageKind;
    readonly filename: string;
    readonly mediaType: string;
    readonly size: number;
    readonly width: number | null;
    readonly height: number | null;
    readonly durationMs: number | null;
    readonly waveform: ReadonlyArray<number> | null;
    readonly url: string;
    readonly thumbnailUrl: string | null;
};
export type ReplyPartsFragment = {
    readonly id: string;
    readonly kind: MessageKind;
    readonly content: string;
    readonly deletedAt: string | null;
    readonly sender: {
        readonly id: string;
        readonly displayName: string;
    };
    readonly attachment: {
        readonly id: string;
        readonly kind: MessageKind;
        readonly filename: string;
        readonly thumbnailUrl: string | null;
    } | null;
};
export type MessagePartsFragment = {
    readonly id: string;
    readonly conversationId: string;
    readonly senderId: string;
    readonly receiverId: string | null;
    readonly kind: MessageKind;
    readonly content: string;
    readonly clientMessageId: string | null;
    readonly createdAt: string;
    readonly editedAt: string | null;
    readonly deletedAt: string | null;
    readonly replyToId: string | null;
    readonly metadata: unknown;
    readonly sender: {
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    };
    readonly replyTo: {
        readonly id: string;
        readonly kind: MessageKind;
        readonly content: string;
        readonly deletedAt: string | null;
        readonly sender: {
            readonly id: string;
            readonly displayName: string;
        };
        readonly attachment: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly thumbnailUrl: string | null;
        } | null;
    } | null;
    readonly attachment: {
        readonly id: string;
        readonly kind: MessageKind;
        readonly filename: string;
        readonly mediaType: string;
        readonly size: number;
        readonly width: number | null;
        readonly height: number | null;
        readonly durationMs: number | null;
        readonly waveform: ReadonlyArray<number> | null;
        readonly url: string;
        readonly thumbnailUrl: string | null;
    } | null;
    readonly reactions: ReadonlyArray<{
        readonly emoji: string;
        readonly count: number;
        readonly mine: boolean;
        readonly users: ReadonlyArray<{
            readonly id: string;
            readonly displayName: string;
        }>;
    }>;
};
export type ConversationPartsFragment = {
    readonly id: string;
    readonly kind: ConversationKind;
    readonly title: string | null;
    readonly createdAt: string;
    readonly unreadCount: number;
    readonly readUpTo: string | null;
    readonly mutedUntil: string | null;
    readonly archived: boolean;
    readonly pinned: boolean;
    readonly showsEarlier: boolean;
    readonly role: MemberRole | null;
    readonly peer: {
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    } | null;
    readonly avatar: {
        readonly id: string;
        readonly kind: MessageKind;
        readonly filename: string;
        readonly mediaType: string;
        readonly size: number;
        readonly width: number | null;
        readonly height: number | null;
        readonly durationMs: number | null;
        readonly waveform: ReadonlyArray<number> | null;
        readonly url: string;
        readonly thumbnailUrl: string | null;
    } | null;
    readonly lastMessage: {
        readonly id: string;
        readonly conversationId: string;
        readonly senderId: string;
        readonly receiverId: string | null;
        readonly kind: MessageKind;
        readonly content: string;
        readonly clientMessageId: string | null;
        readonly createdAt: string;
        readonly editedAt: string | null;
        readonly deletedAt: string | null;
        readonly replyToId: string | null;
        readonly metadata: unknown;
        readonly sender: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
        readonly replyTo: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly content: string;
            readonly deletedAt: string | null;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
            };
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly thumbnailUrl: string | null;
            } | null;
        } | null;
        readonly attachment: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly reactions: ReadonlyArray<{
            readonly emoji: string;
            readonly count: number;
            readonly mine: boolean;
            readonly users: ReadonlyArray<{
                readonly id: string;
                readonly displayName: string;
            }>;
        }>;
    } | null;
    readonly marks: ReadonlyArray<{
        readonly readUpTo: string | null;
        readonly deliveredUpTo: string | null;
        readonly user: {
            readonly id: string;
            readonly displayName: string;
        };
    }>;
};
export type SettingsPartsFragment = {
    readonly presence: PresenceSetting;
    readonly readReceipts: boolean;
};
export type AuthPartsFragment = {
    readonly token: string;
    readonly expiresAt: string;
    readonly user: {
        readonly email: string | null;
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    };
};
export type MeQueryVariables = Exact<{
    [key: string]: never;
}>;
export type MeQuery = {
    readonly me: {
        readonly email: string | null;
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    };
    readonly settings: {
        readonly presence: PresenceSetting;
        readonly readReceipts: boolean;
    };
    readonly serverInfo: {
        readonly cursor: string;
    };
};
export type ConversationsQueryVariables = Exact<{
    first: number;
    after?: string | null | undefined;
    archived: boolean;
}>;
export type ConversationsQuery = {
    readonly conversations: {
        readonly cursor: string;
        readonly nodes: ReadonlyArray<{
            readonly id: string;
            readonly kind: ConversationKind;
            readonly title: string | null;
            readonly createdAt: string;
            readonly unreadCount: number;
            readonly readUpTo: string | null;
            readonly mutedUntil: string | null;
            readonly archived: boolean;
            readonly pinned: boolean;
            readonly showsEarlier: boolean;
            readonly role: MemberRole | null;
            readonly peer: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            } | null;
            readonly avatar: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly lastMessage: {
                readonly id: string;
                readonly conversationId: string;
                readonly senderId: string;
                readonly receiverId: string | null;
                readonly kind: MessageKind;
                readonly content: string;
                readonly clientMessageId: string | null;
                readonly createdAt: string;
                readonly editedAt: string | null;
                readonly deletedAt: string | null;
                readonly replyToId: string | null;
                readonly metadata: unknown;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                    readonly statusText: string | null;
                    readonly avatarUrl: string | null;
                };
                readonly replyTo: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly content: string;
                    readonly deletedAt: string | null;
                    readonly sender: {
                        readonly id: string;
                        readonly displayName: string;
                    };
                    readonly attachment: {
                        readonly id: string;
                        readonly kind: MessageKind;
                        readonly filename: string;
                        readonly thumbnailUrl: string | null;
                    } | null;
                } | null;
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly mediaType: string;
                    readonly size: number;
                    readonly width: number | null;
                    readonly height: number | null;
                    readonly durationMs: number | null;
                    readonly waveform: ReadonlyArray<number> | null;
                    readonly url: string;
                    readonly thumbnailUrl: string | null;
                } | null;
                readonly reactions: ReadonlyArray<{
                    readonly emoji: string;
                    readonly count: number;
                    readonly mine: boolean;
                    readonly users: ReadonlyArray<{
                        readonly id: string;
                        readonly displayName: string;
                    }>;
                }>;
            } | null;
            readonly marks: ReadonlyArray<{
                readonly readUpTo: string | null;
                readonly deliveredUpTo: string | null;
                readonly user: {
                    readonly id: string;
                    readonly displayName: string;
                };
            }>;
        }>;
        readonly pageInfo: {
            readonly hasNextPage: boolean;
            readonly endCursor: string | null;
        };
    };
};
export type ConversationQueryVariables = Exact<{
    id?: string | null | undefined;
    with?: string | null | undefined;
}>;
export type ConversationQuery = {
    readonly conversation: {
        readonly id: string;
        readonly kind: ConversationKind;
        readonly title: string | null;
        readonly createdAt: string;
        readonly unreadCount: number;
        readonly readUpTo: string | null;
        readonly mutedUntil: string | null;
        readonly archived: boolean;
        readonly pinned: boolean;
        readonly showsEarlier: boolean;
        readonly role: MemberRole | null;
        readonly peer: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        } | null;
        readonly avatar: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly lastMessage: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        } | null;
        readonly marks: ReadonlyArray<{
            readonly readUpTo: string | null;
            readonly deliveredUpTo: string | null;
            readonly user: {
                readonly id: string;
                readonly displayName: string;
            };
        }>;
    } | null;
};
export type MessagesQueryVariables = Exact<{
    conversation: string;
    last: number;
    before?: string | null | undefined;
}>;
export type MessagesQuery = {
    readonly messages: {
        readonly nodes: ReadonlyArray<{
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        }>;
        readonly pageInfo: {
            readonly hasPreviousPage: boolean;
        };
    };
};
export type MessagesAroundQueryVariables = Exact<{
    conversation: string;
    around: string;
    last: number;
}>;
export type MessagesAroundQuery = {
    readonly messages: {
        readonly nodes: ReadonlyArray<{
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        }>;
        readonly pageInfo: {
            readonly hasPreviousPage: boolean;
            readonly hasNextPage: boolean;
        };
    };
};
export type MessageQueryVariables = Exact<{
    id: string;
}>;
export type MessageQuery = {
    readonly message: {
        readonly id: string;
        readonly conversationId: string;
        readonly senderId: string;
        readonly receiverId: string | null;
        readonly kind: MessageKind;
        readonly content: string;
        readonly clientMessageId: string | null;
        readonly createdAt: string;
        readonly editedAt: string | null;
        readonly deletedAt: string | null;
        readonly replyToId: string | null;
        readonly metadata: unknown;
        readonly sender: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
        readonly replyTo: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly content: string;
            readonly deletedAt: string | null;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
            };
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly thumbnailUrl: string | null;
            } | null;
        } | null;
        readonly attachment: {
            readonly id: string;
            readonly kind: MessageKind;
            readonly filename: string;
            readonly mediaType: string;
            readonly size: number;
            readonly width: number | null;
            readonly height: number | null;
            readonly durationMs: number | null;
            readonly waveform: ReadonlyArray<number> | null;
            readonly url: string;
            readonly thumbnailUrl: string | null;
        } | null;
        readonly reactions: ReadonlyArray<{
            readonly emoji: string;
            readonly count: number;
            readonly mine: boolean;
            readonly users: ReadonlyArray<{
                readonly id: string;
                readonly displayName: string;
            }>;
        }>;
    } | null;
};
export type MessageEditsQueryVariables = Exact<{
    id: string;
}>;
export type MessageEditsQuery = {
    readonly message: {
        readonly edits: ReadonlyArray<{
            readonly content: string;
            readonly editedAt: string;
        }> | null;
    } | null;
};
export type MembersQueryVariables = Exact<{
    conversation: string;
    first: number;
    after?: string | null | undefined;
}>;
export type MembersQuery = {
    readonly conversation: {
        readonly members: {
            readonly nodes: ReadonlyArray<{
                readonly role: MemberRole;
                readonly joinedAt: string | null;
                readonly user: {
                    readonly id: string;
                    readonly displayName: string;
                    readonly statusText: string | null;
                    readonly avatarUrl: string | null;
                };
            }>;
            readonly pageInfo: {
                readonly hasNextPage: boolean;
                readonly endCursor: string | null;
            };
        };
    } | null;
};
export type AttachmentQueryVariables = Exact<{
    id: string;
}>;
export type AttachmentQuery = {
    readonly attachment: {
        readonly id: string;
        readonly kind: MessageKind;
        readonly filename: string;
        readonly mediaType: string;
        readonly size: number;
        readonly width: number | null;
        readonly height: number | null;
        readonly durationMs: number | null;
        readonly waveform: ReadonlyArray<number> | null;
        readonly url: string;
        readonly thumbnailUrl: string | null;
    } | null;
};
export type UsersQueryVariables = Exact<{
    search?: string | null | undefined;
    first: number;
    after?: string | null | undefined;
}>;
export type UsersQuery = {
    readonly users: {
        readonly nodes: ReadonlyArray<{
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        }>;
        readonly pageInfo: {
            readonly hasNextPage: boolean;
            readonly endCursor: string | null;
        };
    };
};
export type UserQueryVariables = Exact<{
    id: string;
}>;
export type UserQuery = {
    readonly user: {
        readonly online: boolean;
        readonly lastSeenAt: string | null;
        readonly blocked: boolean;
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    } | null;
};
export type UserByEmailQueryVariables = Exact<{
    email: string;
}>;
export type UserByEmailQuery = {
    readonly userByEmail: {
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    } | null;
};
export type BlockedUsersQueryVariables = Exact<{
    [key: string]: never;
}>;
export type BlockedUsersQuery = {
    readonly blockedUsers: ReadonlyArray<{
        readonly id: string;
        readonly displayName: string;
        readonly statusText: string | null;
        readonly avatarUrl: string | null;
    }>;
};
export type SessionsQueryVariables = Exact<{
    [key: string]: never;
}>;
export type SessionsQuery = {
    readonly sessions: ReadonlyArray<{
        readonly id: string;
        readonly createdAt: string;
        readonly lastSeenAt: string;
        readonly expiresAt: string;
        readonly client: string;
        readonly address: string;
        readonly current: boolean;
    }>;
};
export type SearchMessagesQueryVariables = Exact<{
    query: string;
    conversation?: string | null | undefined;
    with?: string | null | undefined;
    from?: string | null | undefined;
    kind?: MessageKind | null | undefined;
    first: number;
    after?: string | null | undefined;
}>;
export type SearchMessagesQuery = {
    readonly searchMessages: {
        readonly complete: boolean;
        readonly edges: ReadonlyArray<{
            readonly snippet: ReadonlyArray<{
                readonly text: string;
                readonly hit: boolean;
            }>;
            readonly node: {
                readonly id: string;
                readonly conversationId: string;
                readonly senderId: string;
                readonly receiverId: string | null;
                readonly kind: MessageKind;
                readonly content: string;
                readonly clientMessageId: string | null;
                readonly createdAt: string;
                readonly editedAt: string | null;
                readonly deletedAt: string | null;
                readonly replyToId: string | null;
                readonly metadata: unknown;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                    readonly statusText: string | null;
                    readonly avatarUrl: string | null;
                };
                readonly replyTo: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly content: string;
                    readonly deletedAt: string | null;
                    readonly sender: {
                        readonly id: string;
                        readonly displayName: string;
                    };
                    readonly attachment: {
                        readonly id: string;
                        readonly kind: MessageKind;
                        readonly filename: string;
                        readonly thumbnailUrl: string | null;
                    } | null;
                } | null;
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly mediaType: string;
                    readonly size: number;
                    readonly width: number | null;
                    readonly height: number | null;
                    readonly durationMs: number | null;
                    readonly waveform: ReadonlyArray<number> | null;
                    readonly url: string;
                    readonly thumbnailUrl: string | null;
                } | null;
                readonly reactions: ReadonlyArray<{
                    readonly emoji: string;
                    readonly count: number;
                    readonly mine: boolean;
                    readonly users: ReadonlyArray<{
                        readonly id: string;
                        readonly displayName: string;
                    }>;
                }>;
            };
        }>;
        readonly pageInfo: {
            readonly hasNextPage: boolean;
            readonly endCursor: string | null;
        };
    };
};
export type ServerInfoQueryVariables = Exact<{
    [key: string]: never;
}>;
export type ServerInfoQuery = {
    readonly serverInfo: {
        readonly broadcasters: Broadcasters;
        readonly registrationOpen: boolean;
        readonly directory: Directory;
        readonly limits: {
            readonly maxMessageBytes: number;
            readonly maxImageBytes: number;
            readonly maxVoiceBytes: number;
            readonly maxFileBytes: number;
            readonly maxGroupMembers: number;
            readonly minPasswordLength: number;
            readonly editSeconds: number;
            readonly deleteSeconds: number;
            readonly maxReactionsPerMessage: number;
        };
    };
};
export type EventsSubscriptionVariables = Exact<{
    after?: string | null | undefined;
}>;
export type EventsSubscription = {
    readonly events: {
        readonly __typename: 'BlockChanged';
        readonly userId: string;
        readonly blocked: boolean;
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
    } | {
        readonly __typename: 'ConversationChanged';
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
    } | {
        readonly __typename: 'MarksMoved';
        readonly userId: string;
        readonly readUpTo: string | null;
        readonly deliveredUpTo: string | null;
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
    } | {
        readonly __typename: 'MembersChanged';
        readonly joinedIds: ReadonlyArray<string>;
        readonly leftIds: ReadonlyArray<string>;
        readonly changedIds: ReadonlyArray<string>;
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
    } | {
        readonly __typename: 'MessageDeleted';
        readonly messageId: string;
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
        readonly message: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        };
    } | {
        readonly __typename: 'MessageEdited';
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
        readonly message: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        };
    } | {
        readonly __typename: 'MessageSent';
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
        readonly message: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        };
    } | {
        readonly __typename: 'ReactionChanged';
        readonly messageId: string;
        readonly emoji: string;
        readonly added: boolean;
        readonly userId: string;
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
        readonly message: {
            readonly id: string;
            readonly conversationId: string;
            readonly senderId: string;
            readonly receiverId: string | null;
            readonly kind: MessageKind;
            readonly content: string;
            readonly clientMessageId: string | null;
            readonly createdAt: string;
            readonly editedAt: string | null;
            readonly deletedAt: string | null;
            readonly replyToId: string | null;
            readonly metadata: unknown;
            readonly sender: {
                readonly id: string;
                readonly displayName: string;
                readonly statusText: string | null;
                readonly avatarUrl: string | null;
            };
            readonly replyTo: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly content: string;
                readonly deletedAt: string | null;
                readonly sender: {
                    readonly id: string;
                    readonly displayName: string;
                };
                readonly attachment: {
                    readonly id: string;
                    readonly kind: MessageKind;
                    readonly filename: string;
                    readonly thumbnailUrl: string | null;
                } | null;
            } | null;
            readonly attachment: {
                readonly id: string;
                readonly kind: MessageKind;
                readonly filename: string;
                readonly mediaType: string;
                readonly size: number;
                readonly width: number | null;
                readonly height: number | null;
                readonly durationMs: number | null;
                readonly waveform: ReadonlyArray<number> | null;
                readonly url: string;
                readonly thumbnailUrl: string | null;
            } | null;
            readonly reactions: ReadonlyArray<{
                readonly emoji: string;
                readonly count: number;
                readonly mine: boolean;
                readonly users: ReadonlyArray<{
                    readonly id: string;
                    readonly displayName: string;
                }>;
            }>;
        };
    } | {
        readonly __typename: 'ReceiptsChanged';
        readonly userId: string;
        readonly shown: boolean;
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
    } | {
        readonly __typename: 'SettingsChanged';
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
        readonly settings: {
            readonly presence: PresenceSetting;
            readonly readReceipts: boolean;
        };
    } | {
        readonly __typename: 'UserChanged';
        readonly cursor: string;
        readonly at: string;
        readonly conversationId: string | null;
        readonly user: {
            readonly id: string;
            readonly displayName: string;
            readonly statusText: string | null;
            readonly avatarUrl: string | null;
        };
    };
};
export type PresenceSubscriptionVariables = Exact<{
    userIds?: ReadonlyArray<string> | string | null | undefined;
}>;
export type PresenceSubscription = {
    readonly presence: {
        readonly online: boolean;
        readonly lastSeenAt: string | null;
        readonly user: {
            readonly id: string;
        };
    };
};
export type TypingSubscriptionVariables = Exact<{
    [key: string]: never;
}>;
export type TypingSubscription = {
    readonly typing: {
        readonly conversationId: string | null;
        readonly activity: Activity;
        readonly expiresAt: string | null;
        readonly user: {
            readonly id: string;
            readonly displayName: string;
        };
    };
};
export declare const Register: Document<T.RegisterMutation, T.RegisterMutationVariables>;
export declare const Login: Document<T.LoginMutation, T.LoginMutationVariables>;
export declare const RenewToken: Document<T.RenewTokenMutation, T.RenewTokenMutationVariables>;
export declare const Logout: Document<T.LogoutMutation, T.LogoutMutationVariables>;
export declare const LogoutEverywhere: Document<T.LogoutEverywhereMutation, T.LogoutEverywhereMutationVariables>;
export declare const RevokeSession: Document<T.RevokeSessionMutation, T.RevokeSessionMutationVariables>;
export declare const ChangePassword: Document<T.ChangePasswordMutation, T.ChangePasswordMutationVariables>;
export declare const DeleteAccount: Document<T.DeleteAccountMutation, T.DeleteAccountMutationVariables>;
export declare const SendMessage: Document<T.SendMessageMutation, T.SendMessageMutationVariables>;
export declare const EditMessage: Document<T.EditMessageMutation, T.EditMessageMutationVariables>;
export declare const DeleteMessage: Document<T.DeleteMessageMutation, T.DeleteMessageMutationVariables>;
export declare const AddReaction: Document<T.AddReactionMutation, T.AddReactionMutationVariables>;
export declare const RemoveReaction: Document<T.RemoveReactionMutation, T.RemoveReactionMutationVariables>;
export declare const MarkRead: Document<T.MarkReadMutation, T.MarkReadMutationVariables>;
export declare const MarkDelivered: Document<T.MarkDeliveredMutation, T.MarkDeliveredMutationVariables>;
export declare const SetTyping: Document<T.SetTypingMutation, T.SetTypingMutationVariables>;
export declare const UpdateConversation: Document<T.UpdateConversationMutation, T.UpdateConversationMutationVariables>;
export declare const CreateGroup: Document<T.CreateGroupMutation, T.CreateGroupMutationVariables>;
export declare const UpdateGroup: Document<T.UpdateGroupMutation, T.UpdateGroupMutationVariables>;
export declare const AddMembers: Document<T.AddMembersMutation, T.AddMembersMutationVariables>;
export declare const RemoveMember: Document<T.RemoveMemberMutation, T.RemoveMemberMutationVariables>;
export declare const LeaveGroup: Document<T.LeaveGroupMutation, T.LeaveGroupMutationVariables>;
export declare const SetRole: Document<T.SetRoleMutation, T.SetRoleMutationVariables>;
export declare const UpdateProfile: Document<T.UpdateProfileMutation, T.UpdateProfileMutationVariables>;
export declare const UpdateSettings: Document<T.UpdateSettingsMutation, T.UpdateSettingsMutationVariables>;
export declare const BlockUser: Document<T.BlockUserMutation, T.BlockUserMutationVariables>;
export declare const UnblockUser: Document<T.UnblockUserMutation, T.UnblockUserMutationVariables>;
export declare const UploadAttachment: Document<T.UploadAttachmentMutation, T.UploadAttachmentMutationVariables>;
export declare const Me: Document<T.MeQuery, T.MeQueryVariables>;
export declare const Conversations: Document<T.ConversationsQuery, T.ConversationsQueryVariables>;
export declare const Conversation: Document<T.ConversationQuery, T.ConversationQueryVariables>;
export declare const Messages: Document<T.MessagesQuery, T.MessagesQueryVariables>;
export declare const MessagesAround: Document<T.MessagesAroundQuery, T.MessagesAroundQueryVariables>;
export declare const Message: Document<T.MessageQuery, T.MessageQueryVariables>;
export declare const MessageEdits: Document<T.MessageEditsQuery, T.MessageEditsQueryVariables>;
export declare const Members: Document<T.MembersQuery, T.MembersQueryVariables>;
export declare const Attachment: Document<T.AttachmentQuery, T.AttachmentQueryVariables>;
export declare const Users: Document<T.UsersQuery, T.UsersQueryVariables>;
export declare const User: Document<T.UserQuery, T.UserQueryVariables>;
export declare const UserByEmail: Document<T.UserByEmailQuery, T.UserByEmailQueryVariables>;
export declare const BlockedUsers: Document<T.BlockedUsersQuery, T.BlockedUsersQueryVariables>;
export declare const Sessions: Document<T.SessionsQuery, T.SessionsQueryVariables>;
export declare const SearchMessages: Document<T.SearchMessagesQuery, T.SearchMessagesQueryVariables>;
export declare const ServerInfo: Document<T.ServerInfoQuery, T.ServerInfoQueryVariables>;
export declare const Events: Document<T.EventsSubscription, T.EventsSubscriptionVariables>;
export declare const Presence: Document<T.PresenceSubscription, T.PresenceSubscriptionVariables>;
export declare const Typing: Document<T.TypingSubscription, T.TypingSubscriptionVariables>;
export {};
