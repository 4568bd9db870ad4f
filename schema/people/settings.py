"""One's own settings in GraphQL."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument, field

from resolvers.people import settings
from resolvers.people.settings import OwnSettings
from schema.context import Info


@strawberry.enum(description="What others see of whether you are online.")
class PresenceSetting(Enum):
    VISIBLE = strawberry.enum_value("VISIBLE", description="That you are online while you are.")
    INVISIBLE = strawberry.enum_value(
        "INVISIBLE",
        description="That you are offline, last seen when you became invisible. Nor do they see you"
        " type.",
    )


@strawberry.type(description="Your own settings.")
class Settings:
    presence: PresenceSetting = field(description="What others see of whether you are online.")
    read_receipts: bool = field(
        description="Whether others see how far you have read, and you how far they have."
    )

    @classmethod
    def of(cls, found: OwnSettings) -> "Settings":
        """Return the settings as GraphQL shows them."""
        shown = PresenceSetting.INVISIBLE if found.invisible else PresenceSetting.VISIBLE
        return cls(presence=shown, read_receipts=found.read_receipts)


@strawberry.type
class SettingsQueries:
    @field(description="Your own settings.")
    async def settings(self, info: Info) -> Settings:
        return Settings.of(await settings.get_settings(info.context.ctx))


@strawberry.type
class SettingsMutations:
    @strawberry.mutation(
        description="Change your own settings: only what is given. Your clients hear of it by"
        " `events`."
    )
    async def update_settings(
        self,
        info: Info,
        presence: Annotated[
            PresenceSetting | None, argument("What others see of whether you are online.")
        ] = None,
        read_receipts: Annotated[
            bool | None,
            argument("Whether others see how far you have read, and you how far they have."),
        ] = None,
    ) -> Settings:
        invisible = None if presence is None else presence is PresenceSetting.INVISIBLE
        return Settings.of(
            await settings.update_settings(
                info.context.ctx, invisible=invisible, read_receipts=read_receipts
            )
        )
