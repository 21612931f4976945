"""What else people try: version control, editors, pictures, sound."""

from __future__ import annotations

from typing import Final

from conformance.programs.case import Case

_GIT: Final = """\
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
git config --global user.name N; git config --global user.email e@example.org; git config --global init.defaultBranch main
git init -q repo; cd repo; echo one > a; mkdir d; seq 100 > d/b; git add .; git commit -q -m first; git log --oneline; echo two >> a; git diff; git commit -q -a -m second
git checkout -q -b topic HEAD~1; echo three > c; git add c; git commit -q -m third; git merge -q -m merged main; git log --graph --oneline --all; git status --short; git show --stat HEAD~1; git tag -a v1 -m v1; git describe
cd ..; git clone -q repo clone; cd clone; git log -1 --format=%H; git branch -a; echo x >> a; git stash -q; git stash list; git stash pop -q; git blame -s a | cut -c 1-8; git gc -q; git fsck --no-dangling; git count-objects; cd ../repo; git rebase -q main; git log --oneline; git bisect start -q 2>/dev/null; git grep -n 5; git archive HEAD | tar t 2>/dev/null | wc -l; git cat-file -p HEAD^{tree}; git rev-parse HEAD; git checkout nonesuch; echo $?
git pull ../clone main 2>&1 | tail -n 1; git format-patch -1 --stdout | git apply --stat; git worktree add -q ../wt; ls ../wt; git notes add -m note; git reflog | wc -l; git clean -n
"""

CASES: Final[tuple[Case, ...]] = (
    Case("git", "git", root="git", script=_GIT, memory="64M", default=False, ignore=r"\.git/|clone/\.git|index"),
    Case("vim", "vim", root="vim", script="""printf 'one two\\nthree\\n' > t; vim.basic -u NONE -es -c '%s/o/0/g' -c '$put =42*2' -c 'g/three/normal A!' -c wq t; echo $?; cat t; vim.tiny -u NONE -es -c 'normal ggdd' -c wq t; cat t; vim.basic --version | head -n 1 | cut -d ' ' -f 1-5; echo 'call writefile([string(range(5))], "out")' > s.vim; vim.basic -u NONE -es -S s.vim -c q; cat out""", default=False),
    Case("gnupg", "gnupg", root="gnupg", script="gpg --version | head -n 1; export GNUPGHOME=/tmp/g; mkdir -m 700 /tmp/g; echo text | gpg --batch --print-md SHA256; gpg --batch --passphrase '' --quick-gen-key me default default 2>/dev/null; echo $?; echo secret | gpg --batch -a -e -r me --trust-model always 2>/dev/null | gpg --batch -d 2>/dev/null; echo sign | gpg --batch --clearsign 2>/dev/null | gpg --batch --verify 2>/dev/null; echo $?; gpgconf --kill all", memory="96M", default=False, ignore="^g", timeout=120),
    Case("imagemagick", "imagemagick", root="imagemagick", script="for p in convert identify compare montage; do set -- /usr/bin/$p-im*.q16; ln -s $1 $p; done; PATH=$PWD:$PATH; convert -size 64x64 gradient:red-blue -resize 50% out.ppm; sha256sum out.ppm; convert out.ppm -rotate 90 -blur 0x2 out.png; identify out.png | cut -d ' ' -f 2-3; convert out.png -quality 80 out.jpg; identify -format '%w %h %m\\n' out.jpg; compare -metric AE out.png out.png null: 2>&1; echo; convert out.png gif:- | identify - | cut -d ' ' -f 2-3; montage out.png out.png -geometry +2+2 m.ppm; identify -format '%w\\n' m.ppm", memory="256M", default=False, ignore=r"out\.(png|jpg)", timeout=120),
    Case("ffmpeg", "ffmpeg", root="ffmpeg", script="ffmpeg -version | head -n 1; ffmpeg -v error -f lavfi -i testsrc=duration=1:size=160x120:rate=10 -threads 2 -c:v mpeg4 -bitexact -y out.avi; echo $?; ffprobe -v error -show_entries stream=codec_name,width,nb_frames -of csv out.avi; ffmpeg -v error -i out.avi -f framemd5 -bitexact - | tail -n 3; ffmpeg -v error -f lavfi -i sine=frequency=440:duration=1 -y s.wav; ffmpeg -v error -i s.wav -f md5 -; ffmpeg -v error -i out.avi -c:v libx264 -preset ultrafast -threads 2 -y out.mp4; echo $?", memory="512M", default=False, ignore=r"out\.|s\.wav", timeout=240),
)  # fmt: skip
