"""A process that takes pushes and does nothing with them: what the emulator itself can do."""

from fastapi import FastAPI, Request, Response

app = FastAPI()
seen: list[str] = []


@app.post("/", status_code=204)
async def push(request: Request) -> Response:
    seen.append((await request.json())["message"]["messageId"])
    return Response(status_code=204)


@app.get("/seen")
async def told() -> list[str]:
    return seen
