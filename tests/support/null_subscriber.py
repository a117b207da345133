"""A subscriber that acknowledges pushes and does nothing else, to measure the emulator itself."""

from fastapi import FastAPI, Request, Response

app = FastAPI()
message_ids: list[str] = []


@app.post("/", status_code=204)
async def push(request: Request) -> Response:
    message_ids.append((await request.json())["message"]["messageId"])
    return Response(status_code=204)


@app.get("/message-ids")
async def pushed() -> list[str]:
    return message_ids
