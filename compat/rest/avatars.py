"""The route of profile pictures: for `<img>`, without a token, kept by browsers for good."""

from starlette.requests import Request
from starlette.responses import Response

from compat.rest.files import SECURITY_HEADERS, entity_tag, is_known
from resolvers.attachments.avatars import open_avatar, read_avatar
from resolvers.context import Context

MEDIA_TYPE = "image/webp"
# The picture of an address never changes: another picture has another address.
KEPT = "public, max-age=31536000, immutable"


async def serve_avatar(ctx: Context, request: Request) -> Response:
    """Answer with a picture, to whoever has its address."""
    avatar = await open_avatar(ctx, request.path_params["key"], request.path_params["side"])
    tag = entity_tag(avatar.version)
    headers = {**SECURITY_HEADERS, "ETag": tag, "Cache-Control": KEPT}
    if is_known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(avatar.size)
    if request.method == "HEAD":
        return Response(headers=headers, media_type=MEDIA_TYPE)
    content = b"".join([chunk async for chunk in read_avatar(ctx, avatar)])
    return Response(content, headers=headers, media_type=MEDIA_TYPE)
