#!/bin/sh
# Makes camera.flv, the recording every virtual camera loops: 8 s of test picture and tone, H.264 main 640x360 25 fps with a
# keyframe exactly every 2 s (200 frames), AAC-LC 48 kHz mono (375 frames of 1,024 samples after the encoder's priming frame).
# 8 s is a whole number of GOPs, of AAC frames and of periods of the tone, so the loop has no seam. Low rate on purpose:
# the simulator pads frames up to the rate asked for. Content: ffmpeg's own generators, free of third-party rights.
set -eu
cd "$(dirname "$0")"
exec ffmpeg -v error -y -fflags +bitexact \
    -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 \
    -map 0:v -map 1:a -t 8 -map_metadata -1 \
    -c:v libx264 -threads 1 -profile:v main -preset slow -b:v 180k -maxrate 260k -bufsize 520k \
    -g 50 -keyint_min 50 -sc_threshold 0 -bf 2 -pix_fmt yuv420p -flags:v +bitexact+cgop \
    -c:a aac -b:a 32k -ac 1 -flags:a +bitexact -flvflags no_duration_filesize camera.flv
