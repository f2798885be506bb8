"""Names of things that cameras see every day: the vocabulary of an export where nobody gives one.

They measure where a model's texts lie (`text_mean`) and whether two encoders name the same class. They are no claim
about what a model recognises.
"""

_NAMES = (
    "person,child,hand,face,crowd,cat,dog,bird,chicken,duck,horse,cow,sheep,goat,pig,rabbit,mouse,squirrel,deer,"
    "elephant,bear,monkey,lion,tiger,zebra,giraffe,snake,lizard,frog,turtle,fish,shark,crab,snail,spider,bee,butterfly,"
    "tree,leaf,flower,grass,mushroom,apple,banana,orange,lemon,strawberry,grapes,pineapple,tomato,potato,carrot,broccoli,"
    "onion,bread,cake,pizza,sandwich,cheese,egg,ice cream,coffee,tea,milk,wine,beer,bottle,cup,plate,bowl,knife,fork,"
    "spoon,pan,kettle,oven,refrigerator,sink,chair,table,sofa,bed,lamp,door,window,stairs,curtain,mirror,clock,book,pen,"
    "paper,scissors,box,bag,backpack,suitcase,umbrella,hat,shoe,shirt,coat,dress,glasses,watch,ring,telephone,laptop,"
    "keyboard,screen,television,camera,radio,guitar,piano,violin,drum,ball,bicycle,motorcycle,car,bus,truck,train,"
    "tractor,forklift,ship,boat,airplane,helicopter,traffic light,road,bridge,house,church,tower,fence,wall,hammer,"
    "screwdriver,ladder,bucket,broom,pallet,barrel,pipe,wheel,mountain,beach,sea,lake,river,forest,field,desert,snow,sky,"
    "cloud,fire,smoke,sun,moon"
)
EVERYDAY_NAMES = tuple(_NAMES.split(","))
