"""Somebody else's client, discord.py, as a process: answers each message, says what it saw.

python discord_client.py API GATEWAY TOKEN HOW_MANY
"""

import asyncio
import json
import sys

import discord
import yarl

api, gateway, token, many = *sys.argv[1:4], int(sys.argv[4])
discord.http.Route.BASE = api
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
seen = []


class Client(discord.Client):
    async def on_message(self, message):
        if message.author == self.user:
            return
        saw = [str(message.id), message.author.name, message.content]
        async with message.channel.typing():
            answer = await message.reply(f"echo {message.content}", mention_author=False)
        await answer.edit(content=f"{answer.content}!")
        await message.add_reaction("\N{EYES}")
        seen.append(saw)
        if len(seen) == many:
            await self.close()


async def main():
    intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
    intents.message_content = True
    async with Client(intents=intents) as client:
        await client.start(token)
    sys.stdout.write(json.dumps(seen))


asyncio.run(main())
